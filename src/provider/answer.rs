//! The messages of a mount. The answer goes out encoded already, so that what is
//! remembered of one mount is the next one's answer as it lies there; the bytes of the
//! request are wiped once it has been read.

use bytes::{Buf, BufMut, Bytes};
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use zeroize::Zeroizing;

use super::wiped::wipe;
use super::{MountRequest, MountResponse};
use crate::quota::Meter;

/// The encoded [`MountResponse`] of one mount; wiped once it has been sent.
pub struct MountAnswer {
    /// The message.
    pub bytes: Zeroizing<Vec<u8>>,
    /// How many files are in it, each with its version.
    pub files: usize,
    /// What it costs its namespace until it has been sent.
    pub held: Vec<Meter>,
}

impl From<MountResponse> for MountAnswer {
    fn from(message: MountResponse) -> Self {
        Self {
            bytes: Zeroizing::new(message.encode_to_vec()),
            files: message.files.len().min(message.object_version.len()),
            held: Vec::new(),
        }
    }
}

/// The message that a driver reads.
impl TryFrom<MountAnswer> for MountResponse {
    type Error = DecodeError;

    fn try_from(answer: MountAnswer) -> Result<Self, DecodeError> {
        Self::decode(answer.bytes.as_slice())
    }
}

/// Requests are decoded, answers go out as they are.
#[derive(Default)]
pub(super) struct MountCodec;

impl Codec for MountCodec {
    type Encode = MountAnswer;
    type Decode = Received;
    type Encoder = AsItIs;
    type Decoder = Decoded;

    fn encoder(&mut self) -> AsItIs {
        AsItIs
    }

    fn decoder(&mut self) -> Decoded {
        Decoded
    }
}

/// A request, and its bytes as they came.
pub(super) struct Received {
    request: MountRequest,
    bytes: Bytes,
}

impl Received {
    /// The request; its bytes are wiped. Not before nobody reads from them any more.
    pub(super) fn into_request(self) -> MountRequest {
        wipe(self.bytes);
        self.request
    }
}

/// Reads requests.
pub(super) struct Decoded;

impl Decoder for Decoded {
    type Item = Received;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Received>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let request = MountRequest::decode(&*bytes);
        let request = request.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(Received { request, bytes }))
    }
}

/// Sends bytes that are encoded already.
pub(super) struct AsItIs;

impl Encoder for AsItIs {
    type Item = MountAnswer;
    type Error = Status;

    fn encode(&mut self, answer: MountAnswer, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // As long as it will be: growing would leave copies behind.
        buffer.reserve(answer.bytes.len());
        buffer.put_slice(&answer.bytes);
        Ok(())
    }
}
