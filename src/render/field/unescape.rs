//! A JSON string's text. serde_json would leave an unwiped copy behind.

use zeroize::Zeroizing;

/// The text between the quotes of a well-formed JSON string; `None` where an
/// escape stands for half of a surrogate pair. Never longer than the string.
pub(super) fn text(mut inside: &str) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(inside.len()));
    while let Some((plain, escape)) = inside.split_once('\\') {
        text.push_str(plain);
        let (letter, rest) = letter(escape)?;
        text.push(letter);
        inside = rest;
    }
    text.push_str(inside);
    Some(text)
}

/// The letter that an escape stands for, and what follows it.
fn letter(escape: &str) -> Option<(char, &str)> {
    let (&kind, rest) = escape.as_bytes().split_first()?;
    let letter = match kind {
        b'"' | b'\\' | b'/' => char::from(kind),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return code_point(&escape[1..]),
        _ => return None,
    };
    Some((letter, escape.get(escape.len() - rest.len()..)?))
}

/// The letter of four hex digits, or of two such escapes (a surrogate pair).
fn code_point(digits: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(digits)?;
    if let Some(letter) = char::from_u32(first.into()) {
        return Some((letter, rest));
    }
    let (second, rest) = unit(rest.strip_prefix("\\u")?)?;
    let letter = char::decode_utf16([first, second]).next()?.ok()?;
    Some((letter, rest))
}

fn unit(digits: &str) -> Option<(u16, &str)> {
    let (digits, rest) = digits.split_at_checked(4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    Some((unit, rest))
}
