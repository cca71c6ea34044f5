//! What goes to standard output, without copies of values left in buffers.

use std::io;

use base64ct::{Base64, Encoding as _};
use secrecy::{ExposeSecret, SecretSlice};
use zeroize::Zeroizing;

use super::error::Error;
use crate::console;
use crate::render::wiped::WipedBuffer;

/// A report of files of 64 MiB as base64 and its frame stay below.
const MOST_BYTES: usize = 1 << 30;

/// A report to be written; it may hold values.
pub(super) type Report = Result<SecretSlice<u8>, io::Error>;

/// An empty report.
pub(super) fn buffer() -> WipedBuffer {
    WipedBuffer::new(MOST_BYTES)
}

/// The whole of a report.
pub(super) fn finish(buffer: WipedBuffer) -> Report {
    buffer.finish().map_err(io::Error::other)
}

/// Writes it.
pub(super) fn write(report: &Report) -> Result<(), Error> {
    let written = match report {
        Ok(report) => console::print(report.expose_secret()),
        Err(error) => Err(io::Error::other(error.to_string())),
    };
    written.map_err(Error::Write)
}

/// How a value can be printed.
pub(super) enum Printed<'a> {
    /// As it is.
    Text(&'a str),
    /// As base64, since a terminal would act on it or not know it.
    Base64(Zeroizing<String>),
}

impl<'a> Printed<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.chars().all(is_printable) => Self::Text(text),
            _ => Self::base64(bytes),
        }
    }

    pub(super) fn base64(bytes: &[u8]) -> Self {
        Self::Base64(Zeroizing::new(Base64::encode_string(bytes)))
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\t') || !(c.is_control() || super::is_direction(c))
}
