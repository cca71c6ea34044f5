//! What stands in a file once it is opened: numbers little-endian, each text and
//! each body after its length in 4 bytes.
//!
//! An image is `id ‖ confirmed ‖ tokens ‖ count ‖ (name ‖ body)… ‖ count ‖ (name ‖ key)…`, a mark
//! `id ‖ confirmed ‖ written ‖ count ‖ digest…`; a moment takes 32 bytes.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::moment::Moment;
use super::seal::{Flaw, blank, text};

/// Most volumes that a mark names.
pub(super) const MOST_VOLUMES: usize = 4096;

/// Everything of one moment: the tokens answer and the environments it stamps.
/// One file, so it is whole or absent.
#[derive(Clone)]
pub struct Image {
    /// Names the set: random, made by the caller.
    pub id: [u8; 16],
    /// What Phase answered about the token.
    pub tokens: Bytes,
    /// Each environment's name and what Phase answered.
    pub environments: Vec<(String, Bytes)>,
    /// The public keys of environments, as they were first seen, by id.
    pub pins: Vec<(String, [u8; 32])>,
}

/// What was learned since about the image with this id.
#[derive(Clone)]
pub struct Mark {
    /// The image.
    pub image: [u8; 16],
    /// When Phase last confirmed it.
    pub confirmed: Moment,
    /// Digests of the volumes that were answered from it; the last 4,096 are kept.
    pub volumes: Vec<[u8; 16]>,
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Image(…)")
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(…)")
    }
}

impl Image {
    /// Bytes that it takes before sealing.
    pub(super) fn length(&self) -> u64 {
        let environments = self.environments.iter();
        let each = environments.map(|(name, body)| 8 + (name.len() + body.len()) as u64);
        let fixed = 16 + 32 + 4 + self.tokens.len() as u64 + 4 + 4;
        let pins = self.pins.iter().map(|(id, _)| (4 + id.len() + 32) as u64);
        each.chain(pins).fold(fixed, u64::saturating_add)
    }

    /// Ready to be sealed; nothing when a part is longer than 4 bytes can say.
    pub(super) fn encode(&self, confirmed: Moment) -> Option<Zeroizing<Vec<u8>>> {
        let mut buffer = blank(usize::try_from(self.length()).ok()?);
        buffer.extend_from_slice(&self.id);
        push_moment(&mut buffer, confirmed);
        push(&mut buffer, &self.tokens)?;
        push_count(&mut buffer, self.environments.len())?;
        for (name, body) in &self.environments {
            push(&mut buffer, name.as_bytes())?;
            push(&mut buffer, body)?;
        }
        push_count(&mut buffer, self.pins.len())?;
        for (id, key) in &self.pins {
            push(&mut buffer, id.as_bytes())?;
            buffer.extend_from_slice(key);
        }
        Some(buffer)
    }

    /// The image in an opened file, and when it was confirmed as it was written.
    ///
    /// # Errors
    /// [`Flaw::Damaged`] when the bytes do not add up.
    pub(super) fn decode(opened: &[u8]) -> Result<(Self, Moment), Flaw> {
        let mut rest = Rest(text(opened));
        let id = rest.array()?;
        let confirmed = rest.moment()?;
        let tokens = rest.body()?;
        let count = rest.number()?;
        let mut environments = Vec::new();
        for _ in 0..count {
            environments.push((rest.name()?, rest.body()?));
        }
        let count = rest.number()?;
        let mut pins = Vec::new();
        for _ in 0..count {
            pins.push((rest.name()?, rest.array()?));
        }
        let image = Self {
            id,
            tokens,
            environments,
            pins,
        };
        rest.end((image, confirmed))
    }
}

impl Mark {
    /// Ready to be sealed.
    pub(super) fn encode(&self, written: Moment) -> Zeroizing<Vec<u8>> {
        let skipped = self.volumes.len().saturating_sub(MOST_VOLUMES);
        let volumes = &self.volumes[skipped..];
        let mut buffer = blank(16 + 2 * 32 + 4 + 16 * volumes.len());
        buffer.extend_from_slice(&self.image);
        push_moment(&mut buffer, self.confirmed);
        push_moment(&mut buffer, written);
        buffer.extend_from_slice(&(volumes.len() as u32).to_le_bytes());
        buffer.extend_from_slice(volumes.as_flattened());
        buffer
    }

    /// The mark in an opened file, and when it was written.
    ///
    /// # Errors
    /// [`Flaw::Damaged`] when the bytes do not add up.
    pub(super) fn decode(opened: &[u8]) -> Result<(Self, Moment), Flaw> {
        let mut rest = Rest(text(opened));
        let image = rest.array()?;
        let confirmed = rest.moment()?;
        let written = rest.moment()?;
        let count = rest.number()? as usize;
        let volumes = rest.take(count.checked_mul(16).ok_or(Flaw::Damaged)?)?;
        let volumes = volumes.as_chunks().0.to_vec();
        let mark = Self {
            image,
            confirmed,
            volumes,
        };
        rest.end((mark, written))
    }
}

fn push(buffer: &mut Vec<u8>, part: &[u8]) -> Option<()> {
    push_count(buffer, part.len())?;
    buffer.extend_from_slice(part);
    Some(())
}

fn push_count(buffer: &mut Vec<u8>, count: usize) -> Option<()> {
    buffer.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    Some(())
}

fn push_moment(buffer: &mut Vec<u8>, moment: Moment) {
    buffer.extend_from_slice(&moment.boot);
    buffer.extend_from_slice(&moment.boottime_ms.to_le_bytes());
    buffer.extend_from_slice(&moment.wall_ms.to_le_bytes());
}

/// Bytes that are not read yet. A length is believed when as many are left.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let (part, rest) = self.0.split_at_checked(length).ok_or(Flaw::Damaged)?;
        self.0 = rest;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        self.take(N)?.try_into().map_err(|_| Flaw::Damaged)
    }

    fn number(&mut self) -> Result<u32, Flaw> {
        self.array().map(u32::from_le_bytes)
    }

    fn part(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn name(&mut self) -> Result<String, Flaw> {
        let name = str::from_utf8(self.part()?).map_err(|_| Flaw::Damaged)?;
        Ok(name.to_owned())
    }

    /// A copy that is wiped when its last holder lets go.
    fn body(&mut self) -> Result<Bytes, Flaw> {
        let copy = Zeroizing::new(self.part()?.to_vec());
        Ok(Bytes::from_owner(copy))
    }

    fn moment(&mut self) -> Result<Moment, Flaw> {
        Ok(Moment {
            boot: self.array()?,
            boottime_ms: self.array().map(u64::from_le_bytes)?,
            wall_ms: self.array().map(u64::from_le_bytes)?,
        })
    }

    /// What was read, if there is no more.
    fn end<T>(&self, whole: T) -> Result<T, Flaw> {
        self.0.is_empty().then_some(whole).ok_or(Flaw::Damaged)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const THEN: Moment = Moment {
        boot: [9; 16],
        boottime_ms: 1,
        wall_ms: u64::MAX,
    };

    fn image() -> Image {
        Image {
            id: [7; 16],
            tokens: Bytes::from_static(b"tokens"),
            environments: vec![
                ("dev".to_owned(), Bytes::from_static(b"body")),
                (String::new(), Bytes::new()),
            ],
            pins: vec![("dev-id".to_owned(), [3; 32]), (String::new(), [4; 32])],
        }
    }

    fn mark(volumes: usize) -> Mark {
        let volumes = (0..volumes as u128).map(u128::to_le_bytes).collect();
        Mark {
            image: [7; 16],
            confirmed: THEN,
            volumes,
        }
    }

    #[test]
    fn an_image_comes_back_as_it_was_in_as_many_bytes_as_told() {
        let buffer = image().encode(THEN).unwrap();
        assert_eq!(text(&buffer).len() as u64, image().length());
        let (read, confirmed) = Image::decode(&buffer).unwrap();
        assert_eq!((read.id, confirmed), (image().id, THEN));
        assert_eq!(read.tokens, image().tokens);
        assert_eq!(read.environments, image().environments);
        assert_eq!(read.pins, image().pins);
    }

    #[test]
    fn a_mark_comes_back_with_its_last_volumes() {
        for (given, first) in [(0, 0), (3, 0), (MOST_VOLUMES + 2, 2)] {
            let (read, written) = Mark::decode(&mark(given).encode(THEN)).unwrap();
            assert_eq!((read.image, read.confirmed, written), ([7; 16], THEN, THEN));
            assert_eq!(read.volumes, mark(given).volumes[first..]);
        }
    }

    #[test]
    fn bytes_that_are_missing_or_too_many_are_noticed() {
        let (image, mark) = (image().encode(THEN).unwrap(), mark(2).encode(THEN));
        let shortest = blank(0).len();
        for cut in shortest..image.len() {
            assert!(Image::decode(&image[..cut]).is_err(), "{cut}");
        }
        for cut in shortest..mark.len() {
            assert!(Mark::decode(&mark[..cut]).is_err(), "{cut}");
        }
        assert!(Image::decode(&[&image[..], b"\0"].concat()).is_err());
        assert!(Mark::decode(&[&mark[..], b"\0"].concat()).is_err());
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_reserves_nothing() {
        let whole = image().encode(THEN).unwrap();
        let begin = blank(0).len();
        for at in begin + 48..whole.len() - 3 {
            let mut lying = whole.to_vec();
            lying[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            let _ = Image::decode(&lying);
        }
        let mut lying = mark(2).encode(THEN);
        let count = begin + 80;
        lying[count..count + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Mark::decode(&lying).err(), Some(Flaw::Damaged));
    }
}
