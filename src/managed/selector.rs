//! Label selectors as `kubectl get --selector` takes them: whether one can be read is
//! known before anybody is asked with it.

/// Part of a label's key before the slash, and the other lengths that Kubernetes allows.
const LONGEST_PREFIX: usize = 253;
const LONGEST_NAME: usize = 63;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Word(&'a str),
    Sign(&'a str),
}

/// Whether the API server would understand it.
pub(super) fn is_selector(text: &str) -> bool {
    let parts = parts(text);
    let mut left = parts.as_slice();
    loop {
        match requirement(left) {
            Some([]) => return true,
            Some([Part::Sign(","), more @ ..]) => left = more,
            _ => return false,
        }
    }
}

/// What is left behind one requirement; none if there is none.
fn requirement<'a, 'b>(parts: &'b [Part<'a>]) -> Option<&'b [Part<'a>]> {
    if let [Part::Sign("!"), Part::Word(key), left @ ..] = parts {
        return is_key(key).then_some(left);
    }
    let [Part::Word(key), left @ ..] = parts else {
        return None;
    };
    if !is_key(key) {
        return None;
    }
    match left {
        [] | [Part::Sign(","), ..] => Some(left),
        [Part::Sign("=" | "==" | "!="), left @ ..] => match left {
            [Part::Word(value), left @ ..] => is_value(value).then_some(left),
            // An empty value.
            [] | [Part::Sign(","), ..] => Some(left),
            _ => None,
        },
        [Part::Sign("<" | ">"), Part::Word(number), left @ ..] => {
            number.parse::<i64>().is_ok().then_some(left)
        }
        [Part::Word("in" | "notin"), Part::Sign("("), left @ ..] => values(left),
        _ => None,
    }
}

/// What is left behind values and the bracket that closes them.
fn values<'a, 'b>(parts: &'b [Part<'a>]) -> Option<&'b [Part<'a>]> {
    let mut left = parts;
    loop {
        if let [Part::Word(value), more @ ..] = left {
            if !is_value(value) {
                return None;
            }
            left = more;
        }
        match left {
            [Part::Sign(","), more @ ..] => left = more,
            [Part::Sign(")"), more @ ..] => return Some(more),
            _ => return None,
        }
    }
}

fn parts(text: &str) -> Vec<Part<'_>> {
    const SIGNS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", "<", ">"];
    let is_end = |letter: char| letter.is_whitespace() || "=!(),<>".contains(letter);
    let mut parts = Vec::new();
    let mut left = text.trim_start();
    while !left.is_empty() {
        let sign = SIGNS.into_iter().find(|sign| left.starts_with(sign));
        let length = sign.map_or_else(|| left.find(is_end).unwrap_or(left.len()), str::len);
        let (part, more) = left.split_at(length);
        parts.push(match sign {
            Some(_) => Part::Sign(part),
            None => Part::Word(part),
        });
        left = more.trim_start();
    }
    parts
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    !name.is_empty() && is_value(name) && prefix.is_none_or(is_prefix)
}

fn is_prefix(prefix: &str) -> bool {
    let is_label = |label: &str| {
        let is_letter = |letter: &u8| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let ends = [label.as_bytes().first(), label.as_bytes().last()];
        ends.iter().all(|end| end.is_some_and(is_letter))
            && label
                .bytes()
                .all(|letter| is_letter(&letter) || letter == b'-')
    };
    prefix.len() <= LONGEST_PREFIX && prefix.split('.').all(is_label)
}

fn is_value(value: &str) -> bool {
    let ends = [value.bytes().next(), value.bytes().last()];
    let is_inner = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
    value.len() <= LONGEST_NAME
        && value.bytes().all(is_inner)
        && ends.iter().flatten().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_understands_is_a_selector() {
        for text in [
            "tier",
            "!tier",
            " tier = web ",
            "tier==web,!old , app.kubernetes.io/name != shop",
            "tier in (web, api),x notin (a)",
            "tier in (web,,api)",
            "tier in ()",
            "tier=",
            "tier=,x",
            "generation>3,generation<5",
            "in in (in)",
        ] {
            assert!(is_selector(text), "{text}");
        }
    }

    #[test]
    fn what_it_does_not_understand_is_none() {
        let long = "a".repeat(64);
        for text in [
            "(((",
            "",
            ",",
            "tier=web,",
            "tier in web",
            "tier in (web",
            "tier = a b",
            "tier=-web",
            "tier=a=b",
            "tier>many",
            "ti er",
            "Prefix/tier",
            "/tier",
            "a/b/c",
            "tier=ü",
            "!tier=web",
            &long,
        ] {
            assert!(!is_selector(text), "{text}");
        }
    }
}
