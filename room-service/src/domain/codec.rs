//! Records and values as bytes: protobuf behind a check sum, so that a flipped bit is an error and never
//! another text.

use bytes::Bytes;
use prost::Message;
use xxhash_rust::xxh3::xxh3_64;

/// Begins what stands behind a check sum. No protobuf message begins with it: there is no field 0.
const SEALED: u8 = 0;
const HEADER_BYTES: usize = 9;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// The check sum is another.
    #[error("its check sum does not fit: the bytes are damaged")]
    CheckSum,
    /// Not a message of the kind expected.
    #[error("it cannot be decoded: {0}")]
    Undecodable(String),
    /// A newer version wrote it.
    #[error("it has format {format}, this version knows {known} (TOO_OLD): start a newer version")]
    TooNew {
        /// Its format.
        format: u32,
        /// The newest format known here.
        known: u32,
    },
}

/// Encodes a message behind its check sum.
pub(crate) fn seal(message: &impl Message) -> Bytes {
    let mut bytes = vec![SEALED; HEADER_BYTES];
    bytes.reserve(message.encoded_len());
    bytes.extend_from_slice(&message.encode_to_vec());
    let sum = xxh3_64(&bytes[HEADER_BYTES..]);
    bytes[1..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
    bytes.into()
}

/// The bytes of a message that [`seal`] made.
///
/// # Errors
/// [`Damaged::CheckSum`].
fn unseal(bytes: &Bytes) -> Result<Bytes, Damaged> {
    let (Some(&[SEALED, ref sum @ ..]), Some(_)) =
        (bytes.get(..HEADER_BYTES), bytes.get(HEADER_BYTES..))
    else {
        return Err(Damaged::CheckSum);
    };
    let body = bytes.slice(HEADER_BYTES..);
    if xxh3_64(&body).to_le_bytes() == sum {
        Ok(body)
    } else {
        Err(Damaged::CheckSum)
    }
}

/// Decodes what [`seal`] made.
///
/// # Errors
/// [`Damaged`].
pub(super) fn decode<M: Message + Default>(bytes: &Bytes) -> Result<M, Damaged> {
    M::decode(unseal(bytes)?).map_err(|error| Damaged::Undecodable(error.to_string()))
}

/// Decodes a value that [`seal`] made; `format` tells the message's format.
///
/// # Errors
/// [`Damaged`].
pub(crate) fn open<M: Message + Default>(
    bytes: &Bytes,
    format: impl FnOnce(&M) -> u32,
    known: u32,
) -> Result<M, Damaged> {
    let message: M = decode(bytes)?;
    match format(&message) {
        0 => Err(Damaged::Undecodable("it names no format".to_owned())),
        format if format > known => Err(Damaged::TooNew { format, known }),
        _ => Ok(message),
    }
}

#[cfg(test)]
mod tests {
    use proto::log::v1::Checkpoint;

    use super::*;

    fn checkpoint(format: u32) -> Checkpoint {
        Checkpoint {
            format,
            log: 7,
            epoch: 3,
            owner: "a".to_owned(),
        }
    }

    fn read(bytes: &Bytes) -> Result<Checkpoint, Damaged> {
        open(bytes, |value: &Checkpoint| value.format, 1)
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(&checkpoint(1));
        assert_eq!(read(&sealed), Ok(checkpoint(1)));
        for at in 0..sealed.len() * 8 {
            let mut bytes = sealed.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(read(&bytes.into()).is_err(), "bit {at}");
        }
    }

    #[test]
    fn a_cut_value_and_a_newer_one_are_refused_in_words() {
        let sealed = seal(&checkpoint(2));
        for len in 0..sealed.len() {
            assert!(read(&sealed.slice(..len)).is_err(), "{len} bytes");
        }
        let newer = Damaged::TooNew {
            format: 2,
            known: 1,
        };
        assert_eq!(read(&sealed), Err(newer));
    }
}
