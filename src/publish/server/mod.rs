//! The HTTP server: the only folder that touches hyper.
//!
//! | route | answer |
//! |---|---|
//! | `/` | status page |
//! | `/metrics` | text 0.0.4 or OpenMetrics 1.0, by negotiation |
//! | `/-/healthy` | 200 while the process lives |
//! | `/-/ready` | 200 after the first evaluation, 503 before and while stopping |
//! | `/api/v1/rules`, `/api/v1/alerts`, `/api/v1/targets` | Prometheus' shapes |
//! | `/api/v1/signals` | values, bands, scores and states |

mod embedded;
mod listener;
mod routes;

pub use embedded::{Handler, Reply};
pub use listener::Server;
