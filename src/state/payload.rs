//! The payload of a record: JSON, and compressed if it is large. The alerts of a storm are megabytes of
//! almost equal texts, which are held in memory and written with every change.

use std::io::{self, BufReader, BufWriter, Read as _, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// JSON up to this size is written as it is, in bytes.
const MAX_PLAIN: usize = 16 * 1024;
/// Bytes that are compressed at once.
const PIECE: usize = 32 * 1024;
/// Most JSON that is read from a compressed payload, in bytes.
const MAX_JSON: u64 = 512 * 1024 * 1024;
/// The first bytes of gzip; JSON begins otherwise.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Encodes a value.
///
/// # Errors
/// The value has no form as JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut payload = Payload::Plain(Vec::new());
    serde_json::to_writer(&mut payload, value)?;
    payload.finish().map_err(serde_json::Error::io)
}

/// Decodes a value.
///
/// # Errors
/// The payload is not what [`encode`] writes for such a value.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    if !bytes.starts_with(&GZIP) {
        return serde_json::from_slice(bytes);
    }
    let json = GzDecoder::new(bytes).take(MAX_JSON);
    serde_json::from_reader(BufReader::with_capacity(PIECE, json))
}

/// A payload that is being written.
enum Payload {
    Plain(Vec<u8>),
    Compressed(BufWriter<GzEncoder<Vec<u8>>>),
}

impl Payload {
    fn finish(self) -> io::Result<Vec<u8>> {
        let mut bytes = match self {
            Self::Plain(bytes) => bytes,
            Self::Compressed(writer) => {
                let encoder = writer
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)?;
                encoder.finish()?
            }
        };
        bytes.shrink_to_fit();
        Ok(bytes)
    }
}

impl Write for Payload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Plain(plain) = self
            && plain.len() + bytes.len() > MAX_PLAIN
        {
            let encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let mut compressed = BufWriter::with_capacity(PIECE, encoder);
            compressed.write_all(plain)?;
            *self = Self::Compressed(compressed);
        }
        match self {
            Self::Plain(plain) => plain.write(bytes),
            Self::Compressed(compressed) => compressed.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{GZIP, MAX_PLAIN, decode, encode};

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(texts in prop::collection::vec(r#"[a-z\\"é]{0,2000}"#, 0..40)) {
            let bytes = encode(&texts).unwrap();
            prop_assert_eq!(decode::<Vec<String>>(&bytes).unwrap(), texts);
        }
    }

    #[test]
    fn only_large_payloads_are_compressed_and_shrink() {
        let small = vec!["an alert"; 100];
        assert_eq!(encode(&small).unwrap(), serde_json::to_vec(&small).unwrap());
        let large = vec!["an alert"; MAX_PLAIN];
        let bytes = encode(&large).unwrap();
        assert!(bytes.starts_with(&GZIP));
        assert!(bytes.len() * 20 < serde_json::to_vec(&large).unwrap().len());
    }

    #[test]
    fn a_damaged_payload_is_an_error() {
        let bytes = encode(&vec!["an alert"; MAX_PLAIN]).unwrap();
        for length in [0, 1, 2, 10, bytes.len() / 2, bytes.len() - 9] {
            assert!(decode::<Vec<String>>(&bytes[..length]).is_err(), "{length}");
        }
        assert!(decode::<Vec<u32>>(&bytes).is_err());
    }
}
