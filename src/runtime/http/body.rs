//! Reads an answer under a limit, decompressing on the way.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::error::{Error, Kind};

/// Bytes kept of an answer that is not what was asked for.
const SHORT: u64 = 64 << 10;

/// What to do with an answer beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The request fails.
    #[default]
    Fail,
    /// The rest is not read.
    Truncate,
}

/// How much to read, and what to do with more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cap {
    /// Decompressed bytes from which on an answer is too large; 0 is unlimited.
    pub(super) bytes: u64,
    pub(super) overflow: Overflow,
}

impl Cap {
    /// The cap for an answer of this status: one that reports an error is only read for its first words.
    pub(super) fn for_status(self, status: u16) -> Self {
        if status == 200 {
            return self;
        }
        let bytes = if self.bytes == 0 {
            SHORT
        } else {
            self.bytes.min(SHORT)
        };
        Self {
            bytes,
            overflow: Overflow::Truncate,
        }
    }

    /// Whether an answer of this announced length need not be read at all.
    fn refuses(self, announced: Option<u64>) -> bool {
        let fails = self.overflow == Overflow::Fail && self.bytes != 0;
        fails && announced.is_some_and(|bytes| bytes >= self.bytes)
    }
}

/// Appends to a buffer and refuses what reaches the cap.
struct Sink<'a> {
    buffer: &'a mut Vec<u8>,
    cap: Cap,
    full: bool,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.cap.bytes).unwrap_or(usize::MAX);
        if limit != 0 && self.buffer.len() + bytes.len() >= limit {
            self.full = true;
            let room = limit.saturating_sub(self.buffer.len());
            self.buffer
                .extend_from_slice(&bytes[..room.min(bytes.len())]);
            return Err(io::Error::other("full"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much of a `Content-Length` is believed before the bytes are there.
const BELIEVED: usize = 16 << 20;

/// The decoder for the answer's `Content-Encoding`.
enum Decoder<'a> {
    Identity(Sink<'a>),
    Gzip(Box<MultiGzDecoder<Sink<'a>>>),
}

impl Decoder<'_> {
    /// Makes room at once: doubling would end with more, and leave holes where the smaller buffers were.
    fn foresee(&mut self, length: Option<u64>) {
        if let (Self::Identity(sink), Some(length)) = (self, length) {
            let foretold = usize::try_from(length).unwrap_or(usize::MAX);
            sink.buffer.reserve_exact(foretold.min(BELIEVED));
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(sink) => sink.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
        }
    }

    fn is_full(&self) -> bool {
        match self {
            Self::Identity(sink) => sink.full,
            Self::Gzip(decoder) => decoder.get_ref().full,
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
        }
    }
}

/// Appends the answer to `buffer`.
pub(super) async fn read(
    mut response: reqwest::Response,
    url: &str,
    cap: Cap,
    buffer: &mut Vec<u8>,
) -> Result<(), Error> {
    let status = response.status().as_u16();
    let cap = cap.for_status(status);
    let encoding = response
        .headers()
        .get(reqwest::header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let sink = Sink {
        buffer,
        cap,
        full: false,
    };
    let mut decoder = match encoding.as_str() {
        "" | "identity" => Decoder::Identity(sink),
        "gzip" | "x-gzip" => Decoder::Gzip(Box::new(MultiGzDecoder::new(sink))),
        _ if status != 200 => return Ok(()),
        other => {
            let detail = format!("its Content-Encoding is {other:?}, only gzip was asked for");
            return Err(Error::new(Kind::Encoding, url, detail));
        }
    };
    let too_large = || {
        let detail = format!("it reaches the limit of {} bytes", cap.bytes);
        Error::new(Kind::BodyTooLarge, url, detail)
    };
    if matches!(decoder, Decoder::Identity(_)) && cap.refuses(response.content_length()) {
        return Err(too_large());
    }
    decoder.foresee(response.content_length());
    let mut received = false;
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Error::from_reqwest(&error, url))?
    {
        received = true;
        if let Err(error) = decoder.write(&chunk) {
            return match (decoder.is_full(), cap.overflow) {
                (true, Overflow::Truncate) => Ok(()),
                (true, Overflow::Fail) => Err(too_large()),
                (false, _) => Err(Error::new(Kind::Encoding, url, error.to_string())),
            };
        }
    }
    if !received {
        return Ok(());
    }
    match decoder.finish() {
        Ok(()) => Ok(()),
        Err(_) if decoder.is_full() && cap.overflow == Overflow::Truncate => Ok(()),
        Err(_) if decoder.is_full() => Err(too_large()),
        Err(error) => {
            let detail = format!("the gzip stream is cut or damaged: {error}");
            Err(Error::new(Kind::Encoding, url, detail))
        }
    }
}
