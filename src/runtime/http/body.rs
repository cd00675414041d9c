//! Reads a response body under a limit and decompresses it on the way.
//!
//! The work is bounded by the bytes that arrive: a gzip stream may hardly be larger than the limit on
//! what comes out of it, and has few members. Between two slices other tasks get their turn.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use tokio::task::yield_now;

use super::answers::Answers;
use super::error::{Error, Kind};
use super::request::Overflow;

/// Bytes that are read of a response with another status than 200.
const MAX_ERROR_BODY_BYTES: u64 = 64 << 10;

/// Largest buffer that is allocated because of `Content-Length`, before the bytes have arrived.
const MAX_RESERVED_BYTES: usize = 16 << 20;

/// Bytes that are decompressed without a pause: at most 16 MiB come out of them.
const SLICE_BYTES: usize = 16 << 10;

/// By how much a gzip stream may be larger than what comes out of it.
const MAX_GZIP_OVERHEAD_BYTES: u64 = 64 << 10;

/// Most members of a gzip stream. Each costs a new decoder, even if nothing comes out of it.
const MAX_MEMBERS: u32 = 1024;

/// How much to read, and what to do with more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit<'a> {
    /// The body is too large from this many decompressed bytes on; 0 means no limit.
    pub(super) bytes: u64,
    pub(super) overflow: Overflow,
    /// The budget of all answers together.
    pub(super) answers: Option<&'a Answers>,
}

impl Limit<'_> {
    /// The limit for a response with this status: only the beginning of an error page is read.
    fn for_status(self, status: u16) -> Self {
        if status == 200 {
            return self;
        }
        let bytes = if self.bytes == 0 {
            MAX_ERROR_BODY_BYTES
        } else {
            self.bytes.min(MAX_ERROR_BODY_BYTES)
        };
        Self {
            bytes,
            overflow: Overflow::Truncate,
            ..self
        }
    }

    /// Whether a body of this `Content-Length` fails without reading it.
    fn refuses(self, content_length: Option<u64>, is_gzip: bool) -> bool {
        let length = content_length.unwrap_or(0);
        let too_large = if is_gzip {
            self.is_reached_by_gzip(length)
        } else {
            self.bytes != 0 && length >= self.bytes
        };
        too_large && self.overflow == Overflow::Fail
    }

    /// Whether so many bytes of a gzip stream are too many, even if nothing comes out of them.
    fn is_reached_by_gzip(self, received: u64) -> bool {
        self.bytes != 0 && received >= self.bytes.saturating_add(MAX_GZIP_OVERHEAD_BYTES)
    }

    /// Takes room for bytes from the budget of all answers.
    fn has_room(self, bytes: usize) -> bool {
        self.answers.is_none_or(|answers| answers.take(bytes))
    }

    fn no_room(self, url: &str) -> Error {
        let most = self.answers.map_or(0, Answers::most);
        let detail = format!("the answers of all targets have more than {most} bytes together");
        Error::new(Kind::NoRoom, url, detail)
    }

    fn exceeded(self, url: &str) -> Error {
        let detail = format!("it reaches the limit of {} bytes", self.bytes);
        Error::new(Kind::BodyTooLarge, url, detail)
    }
}

/// Appends to a buffer until the limit is reached.
struct LimitedBuffer<'a> {
    buffer: &'a mut Vec<u8>,
    limit: Limit<'a>,
    full: bool,
    has_no_room: bool,
}

impl Write for LimitedBuffer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.limit.bytes).unwrap_or(usize::MAX);
        if limit != 0 && self.buffer.len() + bytes.len() >= limit {
            self.full = true;
            let room = limit.saturating_sub(self.buffer.len());
            self.buffer
                .extend_from_slice(&bytes[..room.min(bytes.len())]);
            return Err(io::Error::other("full"));
        }
        if !self.limit.has_room(bytes.len()) {
            self.has_no_room = true;
            return Err(io::Error::other("no room"));
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A gzip stream of at most [`MAX_MEMBERS`] members.
struct Gzip<'a> {
    /// `None` only after an error.
    member: Option<GzDecoder<LimitedBuffer<'a>>>,
    members: u32,
}

impl<'a> Gzip<'a> {
    fn new(out: LimitedBuffer<'a>) -> Self {
        Self {
            member: Some(GzDecoder::new(out)),
            members: 1,
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while let (Some(member), false) = (&mut self.member, bytes.is_empty()) {
            match member.write(bytes)? {
                // The member has ended and another one follows.
                0 => self.next_member()?,
                read => bytes = &bytes[read..],
            }
        }
        Ok(())
    }

    fn next_member(&mut self) -> io::Result<()> {
        if self.members == MAX_MEMBERS {
            let problem = format!("the gzip stream has more than {MAX_MEMBERS} members");
            return Err(io::Error::other(problem));
        }
        self.members += 1;
        if let Some(ended) = self.member.take() {
            self.member = Some(GzDecoder::new(ended.finish()?));
        }
        Ok(())
    }

    fn out(&self) -> Option<&LimitedBuffer<'a>> {
        self.member.as_ref().map(GzDecoder::get_ref)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.member.as_mut().map_or(Ok(()), GzDecoder::try_finish)
    }
}

/// The decoder for the `Content-Encoding` of the response.
enum Decoder<'a> {
    Identity(LimitedBuffer<'a>),
    Gzip(Box<Gzip<'a>>),
}

impl Decoder<'_> {
    /// Allocates the whole body at once. Growing by doubling would end with a larger buffer and
    /// leave the smaller ones behind as holes in the heap.
    fn reserve(&mut self, content_length: Option<u64>) {
        if let (Self::Identity(out), Some(length)) = (self, content_length) {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            out.buffer.reserve_exact(length.min(MAX_RESERVED_BYTES));
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(out) => out.write_all(bytes),
            Self::Gzip(stream) => stream.write(bytes),
        }
    }

    fn out(&self) -> Option<&LimitedBuffer<'_>> {
        match self {
            Self::Identity(out) => Some(out),
            Self::Gzip(stream) => stream.out(),
        }
    }

    fn is_full(&self) -> bool {
        self.out().is_some_and(|out| out.full)
    }

    fn has_no_room(&self) -> bool {
        self.out().is_some_and(|out| out.has_no_room)
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(stream) => stream.finish(),
        }
    }
}

fn encoding_of(response: &reqwest::Response) -> String {
    let header = response.headers().get(reqwest::header::CONTENT_ENCODING);
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    text.trim().to_ascii_lowercase()
}

/// Whether a `Content-Encoding` names a compression that is not understood here. Servers also write
/// `identity`, a character set or `aws-chunked` there, of bodies that are plain.
fn names_compression(encoding: &str) -> bool {
    let mut names = encoding.split(',').map(str::trim);
    names.any(|name| {
        matches!(
            name,
            "gzip"
                | "x-gzip"
                | "deflate"
                | "br"
                | "zstd"
                | "compress"
                | "x-compress"
                | "snappy"
                | "dcb"
                | "dcz"
        )
    })
}

/// A body that is being read.
struct Reading<'a> {
    url: &'a str,
    limit: Limit<'a>,
    decoder: Decoder<'a>,
    received: u64,
}

impl<'a> Reading<'a> {
    /// Of a response that is read entirely or, under the limit, from its beginning. `None` for an
    /// error page whose encoding is unknown.
    fn of(
        url: &'a str,
        (status, encoding): (u16, &str),
        limit: Limit<'a>,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Self>, Error> {
        let limit = limit.for_status(status);
        let out = LimitedBuffer {
            buffer,
            limit,
            full: false,
            has_no_room: false,
        };
        let decoder = match encoding {
            "gzip" | "x-gzip" => Decoder::Gzip(Box::new(Gzip::new(out))),
            other if !names_compression(other) => Decoder::Identity(out),
            _ if status != 200 => return Ok(None),
            other => {
                let detail = format!("its Content-Encoding is {other:?}, only gzip was asked for");
                return Err(Error::new(Kind::Encoding, url, detail));
            }
        };
        Ok(Some(Self {
            url,
            limit,
            decoder,
            received: 0,
        }))
    }

    fn is_gzip(&self) -> bool {
        matches!(self.decoder, Decoder::Gzip(_))
    }

    /// Prepares for a body of this length, or refuses it.
    fn expect(&mut self, content_length: Option<u64>) -> Result<(), Error> {
        if self.limit.refuses(content_length, self.is_gzip()) {
            return Err(self.limit.exceeded(self.url));
        }
        self.decoder.reserve(content_length);
        Ok(())
    }

    /// Takes the next slice. Returns whether more is wanted.
    fn take(&mut self, slice: &[u8]) -> Result<bool, Error> {
        self.received += slice.len() as u64;
        let written = self.decoder.write(slice);
        let is_too_long = self.is_gzip() && self.limit.is_reached_by_gzip(self.received);
        if self.decoder.is_full() || is_too_long {
            return match self.limit.overflow {
                Overflow::Truncate => Ok(false),
                Overflow::Fail => Err(self.limit.exceeded(self.url)),
            };
        }
        if self.decoder.has_no_room() {
            return Err(self.limit.no_room(self.url));
        }
        written.map_err(|error| Error::new(Kind::Encoding, self.url, error.to_string()))?;
        Ok(true)
    }

    /// Ends a body that was taken entirely.
    fn finish(mut self) -> Result<(), Error> {
        if self.received == 0 {
            return Ok(());
        }
        match self.decoder.finish() {
            Ok(()) => Ok(()),
            Err(_) if self.decoder.is_full() && self.limit.overflow == Overflow::Truncate => Ok(()),
            Err(_) if self.decoder.is_full() => Err(self.limit.exceeded(self.url)),
            Err(_) if self.decoder.has_no_room() => Err(self.limit.no_room(self.url)),
            Err(error) => {
                let detail = format!("the gzip stream is truncated or damaged: {error}");
                Err(Error::new(Kind::Encoding, self.url, detail))
            }
        }
    }
}

/// Appends the response body to `buffer`.
pub(super) async fn read(
    mut response: reqwest::Response,
    url: &str,
    limit: Limit<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), Error> {
    let encoding = encoding_of(&response);
    let head = (response.status().as_u16(), encoding.as_str());
    let Some(mut reading) = Reading::of(url, head, limit, buffer)? else {
        return Ok(());
    };
    reading.expect(response.content_length())?;
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| Error::from_reqwest(&error, url))?
    {
        for slice in chunk.chunks(SLICE_BYTES) {
            if !reading.take(slice)? {
                return Ok(());
            }
            yield_now().await;
        }
    }
    reading.finish()
}

/// What comes out of a gzip body that arrives in these pieces.
///
/// # Errors
/// It is no gzip stream, it is damaged, or it reaches the limit in bytes or members.
pub fn inflate<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let limit = Limit {
        bytes: limit,
        overflow: Overflow::Fail,
        answers: None,
    };
    let mut buffer = Vec::new();
    let Some(mut reading) = Reading::of("body", (200, "gzip"), limit, &mut buffer)? else {
        return Ok(Vec::new());
    };
    for piece in pieces {
        reading.take(piece)?;
    }
    reading.finish()?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{Answers, Kind, Limit, Overflow, Reading};

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn answers_have_one_budget_for_what_comes_out_of_them_until_the_next_round() {
        let answers = Answers::new(100_000);
        let limit = Limit {
            bytes: 90_000,
            overflow: Overflow::Fail,
            answers: Some(&answers),
        };
        let read = |encoding: &str, body: &[u8]| {
            let mut buffer = Vec::new();
            let reading = Reading::of("http://a", (200, encoding), limit, &mut buffer);
            let mut reading = reading.unwrap().unwrap();
            let read = reading.take(body).and_then(|_| reading.finish());
            read.map_err(|error| error.kind()).map(|()| buffer.len())
        };
        let body = vec![b'a'; 60_000];
        for (first, second) in [("", "gzip"), ("gzip", ""), ("gzip", "gzip")] {
            let sent = |encoding| match encoding {
                "" => body.clone(),
                _ => gzipped(&body),
            };
            answers.begin();
            assert_eq!(read(first, &sent(first)), Ok(60_000));
            assert_eq!(read(second, &sent(second)), Err(Kind::NoRoom));
        }
        answers.begin();
        assert_eq!(read("", &body), Ok(60_000));
    }
}
