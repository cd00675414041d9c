//! A look at the frames that an HTTP/2 client sends, to stop floods that are cheap for it and costly for us.
//!
//! A client may open a stream and reset it at once, again and again ("rapid reset", CVE-2023-44487): no stream is
//! ever counted as open, and each costs an answer. Pings, settings and priorities without end are its cousins.

use std::time::Duration;

use tokio::time::Instant;

use super::counters::Refused;
use super::web::{Bucket, RateLimit};

/// Bytes of a request's head, as sent.
pub(super) const MAX_HEAD: usize = 32 * 1024;

/// Bytes of the client's preface.
const PREFACE: usize = 24;
/// Bytes of the head of a frame.
const HEAD: usize = 9;
/// Streams that a client may reset, and how long it takes to earn one more.
const RESETS: RateLimit = RateLimit {
    interval: Duration::from_secs(1),
    burst: 100,
};
/// Other frames that carry nothing.
const CONTROLS: RateLimit = RateLimit {
    interval: Duration::from_millis(50),
    burst: 500,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD],
    filled: usize,
    skip: usize,
    /// Bytes of the head of a request so far.
    block: usize,
    resets: Bucket,
    controls: Bucket,
}

impl Frames {
    /// Awaits the preface.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            head: [0; HEAD],
            filled: 0,
            skip: PREFACE,
            block: 0,
            resets: Bucket::new(RESETS, now),
            controls: Bucket::new(CONTROLS, now),
        }
    }

    /// Follows what was read.
    ///
    /// # Errors
    /// When it is a flood.
    pub(super) fn follow(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Refused> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let taken = (HEAD - self.filled).min(bytes.len());
            let (front, rest) = bytes.split_at(taken);
            self.head[self.filled..self.filled + taken].copy_from_slice(front);
            self.filled += taken;
            bytes = rest;
            if self.filled == HEAD {
                self.filled = 0;
                self.frame(now)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, now: Instant) -> Result<(), Refused> {
        let [a, b, c, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        self.skip = length;
        match kind {
            HEADERS => self.block = length,
            CONTINUATION => self.block += length,
            _ => {}
        }
        if self.block > MAX_HEAD {
            return Err(Refused::HeaderTooLarge);
        }
        match kind {
            RESET if !self.resets.take(now) => Err(Refused::ResetFlood),
            PRIORITY | SETTINGS | PING if !self.controls.take(now) => Err(Refused::ControlFlood),
            DATA | HEADERS | CONTINUATION if length == 0 && !self.controls.take(now) => {
                Err(Refused::ControlFlood)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{Frames, HEADERS, PING, RESET};
    use crate::publish::server::counters::Refused;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut bytes = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        bytes.extend_from_slice(payload);
        bytes
    }

    /// How many of these frames pass, fed in pieces of `step` bytes.
    fn passed(one: &[u8], count: usize, step: usize) -> (usize, Option<Refused>) {
        let now = Instant::now();
        let mut frames = Frames::new(now);
        let mut bytes = PREFACE.to_vec();
        for _ in 0..count {
            bytes.extend_from_slice(one);
        }
        for (index, piece) in bytes.chunks(step).enumerate() {
            if let Err(why) = frames.follow(piece, now) {
                return (index * step / one.len(), Some(why));
            }
        }
        (count, None)
    }

    #[test]
    fn a_hundred_resets_pass_and_a_thousand_do_not_however_they_are_cut() {
        let mut pair = frame(HEADERS, &[3; 20]);
        pair.extend(frame(RESET, &[0; 4]));
        for step in [1, 7, 9, 4096] {
            assert_eq!(passed(&pair, 100, step), (100, None), "{step}");
            let (count, why) = passed(&pair, 1000, step);
            assert_eq!(why, Some(Refused::ResetFlood), "{step}");
            assert!(count <= 110, "{step}: {count}");
        }
    }

    #[test]
    fn requests_are_no_flood_and_pings_without_end_are() {
        assert_eq!(
            passed(&frame(HEADERS, &[RESET; 30]), 10_000, 13),
            (10_000, None)
        );
        let (_, why) = passed(&frame(PING, &[0; 8]), 1000, 13);
        assert_eq!(why, Some(Refused::ControlFlood));
    }
}
