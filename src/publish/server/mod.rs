//! The HTTP/1.1 server: the only folder that uses hyper and rustls.
//!
//! `listener` accepts connections and `connection` limits their number and their time; `serve` speaks TLS and HTTP
//! on each; `gate` checks every request (rate, `Host`, password, origin, size); `routes` or the control answers it.
//!
//! | route | answer |
//! |---|---|
//! | `/` | status page |
//! | `/metrics` | text 0.0.4 or OpenMetrics 1.0, by negotiation |
//! | `/-/healthy` | 200 while the process lives |
//! | `/-/ready` | 200 after the first evaluation, 503 before and while stopping |
//! | `/api/v1/rules`, `/api/v1/alerts`, `/api/v1/targets` | Prometheus' shapes |
//! | `/api/v1/signals` | values, bands, scores and states |
//! | `/api/v1/status/config` | the files of the configuration, without secrets |
//! | `/probe?target=URL&module=NAME` | scrapes a known target now and judges once, when modules are configured |
//! | `POST /-/reload` | reads the configuration again, with `--web.enable-lifecycle` |
//! | `/api/v1/retraining/outbox`, `POST …/outbox/retry`, `POST …/outbox/drop` | pending retraining requests |
//! | `POST /api/v1/retraining/ID/done` | a retraining is over |

mod body;
mod connection;
mod counters;
mod gate;
mod listener;
mod reply;
mod routes;
mod serve;
mod stream;
pub mod web;

pub(super) use counters::Http;

pub use body::Handler;
pub use listener::Server;
pub use reply::Reply;
