//! The HTTP/1.1 server: the only folder that uses hyper and rustls. Its paths and limits are listed
//! in `docs/WEB.md`.
//!
//! `listener` accepts connections, `connection` limits their number and time, `serve` speaks TLS
//! and HTTP on each, `gate` checks every request (rate, `Host`, password, origin, size), and
//! `renderer` or the control answers it. `body` reads the bodies that the control asks for, and
//! `routes` knows what each path answers.

mod body;
mod connection;
mod counters;
mod gate;
mod hosts;
mod listener;
mod renderer;
mod reply;
mod routes;
mod serve;
mod stream;
pub(crate) mod web;

pub(super) use counters::Http;
pub(crate) use counters::{refused_reasons, rejected_reasons};

pub(crate) use body::{Body, Handler, NOTIFICATIONS, Pieces};
pub(crate) use hosts::Hosts;
pub use listener::Server;
pub(crate) use reply::Reply;
