//! A buffer for plaintext that grows without leaving copies behind.

use std::fmt;
use std::io;

use secrecy::{SecretBox, SecretSlice};
use zeroize::Zeroizing;

/// More was written than a [`WipedBuffer`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("larger than {most} bytes")]
pub struct TooLarge {
    /// The limit in bytes.
    pub most: usize,
}

/// Bytes that are wiped when it grows and when it is dropped.
///
/// It is an [`io::Write`] and a [`fmt::Write`]; both fail when the limit is
/// passed, and so does [`finish`](Self::finish) from then on: what was cut off
/// cannot be taken for the whole.
///
/// ```
/// use phase_csi_provider::render::wiped::{TooLarge, WipedBuffer};
/// use secrecy::ExposeSecret;
/// use std::fmt::Write;
///
/// let mut buffer = WipedBuffer::new(8);
/// write!(buffer, "{}", 12345)?;
/// assert_eq!(buffer.finish().unwrap().expose_secret(), b"12345");
///
/// let mut buffer = WipedBuffer::new(4);
/// assert!(write!(buffer, "{}", 12345).is_err());
/// assert_eq!(buffer.finish().unwrap_err(), TooLarge { most: 4 });
/// # Ok::<(), std::fmt::Error>(())
/// ```
pub struct WipedBuffer {
    bytes: Zeroizing<Vec<u8>>,
    most: usize,
    passed: bool,
}

/// The first allocation in bytes, unless the limit is lower.
const FIRST: usize = 256;

impl WipedBuffer {
    /// An empty one that holds at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            bytes: Zeroizing::default(),
            most,
            passed: false,
        }
    }

    /// Appends bytes, all or none of them.
    ///
    /// # Errors
    /// When they, or any before them, do not fit.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        let whole = self.bytes.len().saturating_add(bytes.len());
        self.passed |= whole > self.most;
        self.check()?;
        if whole > self.bytes.capacity() {
            self.grow(whole);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Everything that was written, in an allocation of just that size.
    ///
    /// # Errors
    /// When something did not fit.
    pub fn finish(self) -> Result<SecretSlice<u8>, TooLarge> {
        self.check()?;
        // Not `into_boxed_slice` of ours: shrinking may move the bytes and leave the old ones.
        Ok(SecretBox::new(Box::from(&self.bytes[..])))
    }

    const fn check(&self) -> Result<(), TooLarge> {
        if self.passed {
            return Err(TooLarge { most: self.most });
        }
        Ok(())
    }

    /// Moves to a larger allocation; the outgrown one is wiped as it is dropped.
    fn grow(&mut self, whole: usize) {
        let doubled = self.bytes.capacity().saturating_mul(2).max(FIRST);
        let mut larger = Zeroizing::new(Vec::with_capacity(doubled.min(self.most).max(whole)));
        larger.extend_from_slice(&self.bytes);
        self.bytes = larger;
    }
}

impl io::Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Write for WipedBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Says how much it holds, never what.
impl fmt::Debug for WipedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WipedBuffer({} of {} bytes)", self.len(), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn bytes_come_out_as_they_went_in_however_they_are_cut() {
        let whole: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for cut in [1, 7, 255, 256, 257, 4096, whole.len()] {
            let mut buffer = WipedBuffer::new(whole.len());
            for piece in whole.chunks(cut) {
                buffer.push(piece).expect("it fits");
            }
            assert_eq!(buffer.len(), whole.len());
            let secret = buffer.finish().expect("it fits");
            assert_eq!(secret.expose_secret(), whole);
        }
    }

    #[test]
    fn it_grows_itself_when_full_and_never_beyond_its_limit() {
        // No power of two: a vector that grew by itself would pass it.
        const MOST: usize = 1_000_003;
        let mut buffer = WipedBuffer::new(MOST);
        for _ in 0..MOST {
            let (full, before) = (
                buffer.bytes.len() == buffer.bytes.capacity(),
                buffer.bytes.capacity(),
            );
            buffer.push(b"x").expect("it fits");
            assert_eq!(buffer.bytes.capacity() != before, full);
        }
        assert_eq!(buffer.bytes.capacity(), MOST);
    }

    #[test]
    fn a_push_that_does_not_fit_spoils_the_whole() {
        let mut buffer = WipedBuffer::new(3);
        assert!(buffer.is_empty());
        assert_eq!(buffer.push(b"abcd"), Err(TooLarge { most: 3 }));
        assert_eq!(buffer.push(b"a"), Err(TooLarge { most: 3 }));
        let error = buffer.finish().expect_err("it was passed");
        assert_eq!(error.to_string(), "larger than 3 bytes");
    }

    #[test]
    fn writers_fail_too_when_the_limit_is_passed() {
        let error = io::Write::write_all(&mut WipedBuffer::new(1), b"ab").expect_err("too large");
        assert_eq!(error.to_string(), "larger than 1 bytes");
        assert!(fmt::Write::write_str(&mut WipedBuffer::new(1), "ab").is_err());
        assert!(fmt::Write::write_str(&mut WipedBuffer::new(2), "ab").is_ok());
    }

    #[test]
    fn it_cannot_be_printed() {
        let mut buffer = WipedBuffer::new(64);
        buffer.push(b"hunter2").expect("it fits");
        assert_eq!(format!("{buffer:?}"), "WipedBuffer(7 of 64 bytes)");
    }
}
