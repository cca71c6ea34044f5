//! The answer of a mount, as it goes out: encoded already, so that what is
//! remembered of one mount is the next one's answer as it lies there.

use bytes::BufMut;
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstCodec;
use zeroize::Zeroizing;

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
pub(super) struct MountCodec(ProstCodec<MountRequest, MountRequest>);

impl Codec for MountCodec {
    type Encode = MountAnswer;
    type Decode = MountRequest;
    type Encoder = AsItIs;
    type Decoder = <ProstCodec<MountRequest, MountRequest> as Codec>::Decoder;

    fn encoder(&mut self) -> AsItIs {
        AsItIs
    }

    fn decoder(&mut self) -> Self::Decoder {
        self.0.decoder()
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
