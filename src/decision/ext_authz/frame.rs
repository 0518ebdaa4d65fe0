//! gRPC's frame around a message, and what a call fails with.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// A flag and a length stand before each message.
const HEAD: usize = 5;

/// Why a call has no answer: for Envoy, a failure of the service and never a verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CallError {
    /// Who calls is none of those who may.
    CallerNotTrusted,
    /// The message took too long to arrive.
    Late,
    /// There is not one message that can be read.
    Malformed,
    /// The message is longer than any question.
    TooLarge,
    /// There is no such method, or the message is compressed.
    Unimplemented,
}

impl CallError {
    /// Returns the status code of gRPC.
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Malformed => 3,
            Self::Late => 4,
            Self::CallerNotTrusted => 7,
            Self::TooLarge => 8,
            Self::Unimplemented => 12,
        }
    }

    /// Returns the reason's slug.
    pub(crate) fn slug(self) -> &'static str {
        match self {
            Self::CallerNotTrusted => "caller-not-trusted",
            Self::Late => "call-late",
            Self::Malformed => "call-malformed",
            Self::TooLarge => "call-too-large",
            Self::Unimplemented => "call-unimplemented",
        }
    }
}

/// Takes the one message out of a call's body.
///
/// # Errors
///
/// A [`CallError`] for none, for more than one, and for one that is compressed or cut off.
pub(crate) fn unframed<M: Message + Default>(mut body: Bytes) -> Result<M, CallError> {
    if body.len() < HEAD {
        return Err(CallError::Malformed);
    }
    let compressed = body.get_u8();
    let length = body.get_u32();
    match compressed {
        0 => {}
        1 => return Err(CallError::Unimplemented),
        _ => return Err(CallError::Malformed),
    }
    if usize::try_from(length) != Ok(body.len()) {
        return Err(CallError::Malformed);
    }
    M::decode(body).map_err(|_| CallError::Malformed)
}

/// Puts a message into a frame.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut body = BytesMut::with_capacity(HEAD + length);
    body.put_u8(0);
    body.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    body.put_slice(&message.encode_to_vec());
    body.freeze()
}
