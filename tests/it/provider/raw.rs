//! An HTTP/2 client that writes its own frames, the way a Go driver does: names
//! from the static table, values in a dynamic table that overflows.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

/// One connection.
pub(super) struct RawClient {
    io: UnixStream,
    table: Table,
    last_stream: u32,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The body of the answer began.
    Answered,
    /// The stream was reset with this code.
    Reset(u32),
}

impl RawClient {
    pub(super) async fn connect(path: &Path) -> Self {
        let mut io = UnixStream::connect(path).await.unwrap();
        io.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        io.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self {
            io,
            table: Table::default(),
            last_stream: 0,
        }
    }

    /// Calls `Version` with this `:authority` and one more header.
    pub(super) async fn ask(&mut self, authority: &[u8], more: (&[u8], &[u8])) -> Outcome {
        let block = self.block("Version", authority, more);
        self.send(|stream| frame(HEADERS, END_HEADERS, stream, &block))
            .await
    }

    /// Sends a header block in frames that the caller cuts, then an empty message.
    pub(super) async fn send(&mut self, headers: impl FnOnce(u32) -> Vec<u8>) -> Outcome {
        let stream = self.open(headers).await;
        let message = frame(DATA, END_STREAM, stream, &[0; 5]);
        self.io.write_all(&message).await.unwrap();
        timeout(SAFETY, self.outcome(stream)).await.unwrap()
    }

    /// Begins a request, and leaves it there.
    pub(super) async fn open(&mut self, headers: impl FnOnce(u32) -> Vec<u8>) -> u32 {
        self.last_stream += if self.last_stream == 0 { 1 } else { 2 };
        let stream = self.last_stream;
        self.io.write_all(&headers(stream)).await.unwrap();
        stream
    }

    /// Begins this many mounts and cancels each, all in one piece.
    pub(super) async fn give_up(&mut self, mounts: u32) {
        let mut bytes = Vec::new();
        for _ in 0..mounts {
            let block = self.block("Mount", b"localhost", (b"user-agent", b"test"));
            self.last_stream += if self.last_stream == 0 { 1 } else { 2 };
            bytes.extend(frame(HEADERS, END_HEADERS, self.last_stream, &block));
            bytes.extend(frame(RST_STREAM, 0, self.last_stream, &8_u32.to_be_bytes()));
        }
        self.write(&bytes).await;
    }

    /// Sends bytes as they are.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// The header block of a call, which enters the table.
    pub(super) fn block(
        &mut self,
        method: &str,
        authority: &[u8],
        more: (&[u8], &[u8]),
    ) -> Vec<u8> {
        let path = format!("/v1alpha1.CSIDriverProvider/{method}");
        let fields = [
            (&b":authority"[..], authority),
            (b":path", path.as_bytes()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            more,
        ];
        let mut block = vec![0x83, 0x86];
        for (name, value) in fields {
            self.table.write(name, value, &mut block);
        }
        block
    }

    async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let mut head = [0; 9];
            self.io.read_exact(&mut head).await.unwrap();
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            self.io.read_exact(&mut payload).await.unwrap();
            let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match head[3] {
                DATA if of == stream => return Outcome::Answered,
                RST_STREAM if of == stream => {
                    return Outcome::Reset(u32::from_be_bytes(payload.try_into().unwrap()));
                }
                SETTINGS if head[4] == 0 => {
                    self.io
                        .write_all(&frame(SETTINGS, 1, 0, &[]))
                        .await
                        .unwrap();
                }
                _ => {}
            }
        }
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    let head = [
        &length.to_be_bytes()[1..],
        &[kind, flags],
        &stream.to_be_bytes(),
    ]
    .concat();
    [&head, payload].concat()
}

/// The writer's dynamic table: newest first, bounded as HTTP/2 bounds it.
#[derive(Default)]
struct Table {
    entries: VecDeque<(Vec<u8>, Vec<u8>)>,
    size: usize,
}

impl Table {
    /// Refers to an entry if the field is one, else spells it out and enters it.
    fn write(&mut self, name: &[u8], value: &[u8], block: &mut Vec<u8>) {
        let known = self
            .entries
            .iter()
            .position(|(n, v)| n == name && v == value);
        if let Some(at) = known {
            return integer(0x80, 7, 62 + at, block);
        }
        match name {
            b":authority" => integer(0x40, 6, 1, block),
            b":path" => integer(0x40, 6, 4, block),
            b"content-type" => integer(0x40, 6, 31, block),
            _ => {
                block.push(0x40);
                string(name, block);
            }
        }
        string(value, block);
        self.enter(name.to_vec(), value.to_vec());
    }

    fn enter(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.size += cost(&name, &value);
        self.entries.push_front((name, value));
        while self.size > 4096 {
            let (name, value) = self.entries.pop_back().unwrap();
            self.size -= cost(&name, &value);
        }
    }
}

fn cost(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + 32
}

fn integer(first: u8, bits: u8, value: usize, block: &mut Vec<u8>) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        return block.push(first | u8::try_from(value).unwrap());
    }
    block.push(first | u8::try_from(mask).unwrap());
    let mut rest = value - mask;
    while rest >= 0x80 {
        block.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap());
}

fn string(text: &[u8], block: &mut Vec<u8>) {
    integer(0, 7, text.len(), block);
    block.extend_from_slice(text);
}
