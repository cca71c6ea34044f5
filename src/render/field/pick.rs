//! One member of a JSON object or array, as its raw text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The member of this name or number, if there is one; of several, the last.
pub(super) fn pick<'a>(
    from: &'a RawValue,
    name: &str,
) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(from.get());
    match from.get().as_bytes().first() {
        Some(b'{') => json.deserialize_map(Pick(name)),
        Some(b'[') => json.deserialize_seq(Pick(name)),
        _ => Ok(None),
    }
}

struct Pick<'n>(&'n str);

impl<'a> Visitor<'a> for Pick<'_> {
    type Value = Option<&'a RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(IsName(self.0))? {
            if wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let wanted = number(self.0);
        let mut found = None;
        let mut at = 0;
        while let Some(element) = elements.next_element()? {
            if wanted == Some(at) {
                found = Some(element);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// An element's number: digits without a leading zero.
fn number(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|digit| digit.is_ascii_digit());
    let plain = digits && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| plain)
}

/// Whether a member's name is this one, without keeping it.
struct IsName<'n>(&'n str);

impl<'a> DeserializeSeed<'a> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}
