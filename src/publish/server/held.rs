//! A body in pieces, whose request is under way until the last piece has been taken.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::answers::Hold;
use super::connections::Busy;

/// Bytes of a piece. In one piece, hyper would take the whole body before the client has taken any of it.
const PIECE: usize = 64 * 1024;

/// A body that holds its memory and its request.
#[derive(Debug)]
pub(super) struct Held {
    body: Full<Bytes>,
    rest: Bytes,
    _busy: Busy,
    _hold: Option<Hold>,
}

impl Held {
    /// A body in one piece, to be sent in several.
    pub(super) fn new(body: Full<Bytes>, busy: Busy, hold: Option<Hold>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            _busy: busy,
            _hold: hold,
        }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
                return Poll::Pending;
            };
            match frame {
                Some(Ok(frame)) => this.rest = frame.into_data().unwrap_or_default(),
                None => return Poll::Ready(None),
            }
        }
        let length = this.rest.len().min(PIECE);
        let piece = this.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let more = self.body.size_hint().exact().unwrap_or(0);
        SizeHint::with_exact(rest + more)
    }
}
