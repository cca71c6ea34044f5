//! `KEY=value` lines for the dotenv libraries, which read quotes, backslashes and
//! dollars each in its own way.
//!
//! A value of letters, digits and `_-./:?@%+,=` stands as it is. Any other gets the
//! writing that most of the libraries read exactly: as it is between single
//! quotes, escaped between double quotes, or as it is to the end of the line.
//! What each of them then makes of it (`tests/readers/run` proves this table):
//!
//! | value | dotenvy | python-dotenv | dotenv (npm) | node `--env-file` | godotenv | compose-go |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | no `'`, `\`, CR, `${` | exact | exact | exact | exact | exact | exact |
//! | … with `\`, not `\\`, not at the end | exact | exact | exact | exact | exact | exact |
//! | … with `\\`, not at the end | exact | other | exact | exact | exact | exact |
//! | … with `${` | exact | other | exact | exact | exact | exact |
//! | `'`, without `"`, `\`, `$`, CR | exact | exact | exact | exact | exact | exact |
//! | `'` and `"` or `\`, or `\` at the end; one line, without `#`, `$`, outer blanks, a quote in front | other or fails | exact | exact | exact | exact | exact |
//! | … otherwise, without `$` or CR | exact | exact | other | other | exact unless it ends with `"` or `\` | exact |
//! | `'` and `$`, without CR | exact | other | other | other | exact unless it ends with `"` or `\` | exact |
//! | CR, without `"`, `\`, `$` | fails | exact | exact | other | exact | exact |
//! | CR otherwise | see [`inexact`] | | | | | |
//!
//! "Other" is another value. [`inexact`] says which readers that are, so that it
//! can be told before a pod finds out. A value never changes another: what a
//! reader gets wrong stays on the value's own lines.
//!
//! - Between single quotes, line ends stay line ends: Ruby's dotenv 3 does not
//!   read `\n`, and `sh` does not either.
//! - `docker run --env-file` knows no quotes: only values that stand as they are
//!   come out right.
//! - It is no shell script: an unquoted value may be a command to `sh`.
//!   [`Format::Shell`](super::Format::Shell) is for that.

use std::fmt::{self, Write};

use super::{Line, escaped};
use crate::render::wiped::WipedBuffer;

/// A library that reads dotenv files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reader {
    /// Docker Compose's, in Go.
    ComposeGo,
    /// Rust's.
    Dotenvy,
    /// Go's.
    Godotenv,
    /// Node's own: `--env-file`, `util.parseEnv`.
    Node,
    /// The npm package `dotenv`.
    NpmDotenv,
    /// Python's.
    PythonDotenv,
}

impl Reader {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ComposeGo,
        Self::Dotenvy,
        Self::Godotenv,
        Self::Node,
        Self::NpmDotenv,
        Self::PythonDotenv,
    ];

    /// Its name, as its users know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ComposeGo => "compose-go",
            Self::Dotenvy => "dotenvy",
            Self::Godotenv => "godotenv",
            Self::Node => "node --env-file",
            Self::NpmDotenv => "dotenv (npm)",
            Self::PythonDotenv => "python-dotenv",
        }
    }
}

/// The readers that may take a value for another one, or refuse it, because no
/// writing is exact in more of them.
#[must_use]
pub fn inexact(value: &str) -> Vec<Reader> {
    let value = Traits::of(value);
    let quoting = value.quoting();
    let readers = Reader::ALL.into_iter();
    readers
        .filter(|reader| !value.is_exact(quoting, *reader))
        .collect()
}

pub(super) fn write(line: &Line<'_>, out: &mut WipedBuffer) -> fmt::Result {
    let (value, traits) = (line.value, Traits::of(line.value));
    write!(out, "{}=", line.name)?;
    match traits.quoting() {
        Quoting::None => {
            out.write_str(value)?;
            if let Some(quote) = open_quote(value) {
                // A comment to the others; dotenvy would read on in the next lines, and fails here.
                write!(out, " #{quote} x")?;
            }
        }
        Quoting::Single => write!(out, "'{value}'")?,
        Quoting::Double => {
            out.write_str("\"")?;
            escaped(value, out, |it| !is_escaped(it), escape)?;
            out.write_str("\"")?;
            if traits.ends_with_backslash {
                // To readers that take the last quote for an escaped one, it ends here.
                out.write_str(" #\"")?;
            }
        }
    }
    out.write_str("\n")
}

/// The quote that dotenvy holds open at the end of an unquoted value.
fn open_quote(value: &str) -> Option<char> {
    let mut open = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (open, character) {
            (_, '\\') => drop(characters.next()),
            (Some(quote), _) if quote == character => open = None,
            (None, '\'' | '"') => open = Some(character),
            _ => {}
        }
    }
    open
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// As it is, to the end of the line.
    None,
    /// As it is, between single quotes.
    Single,
    /// With `\"`, `\$`, `\\`, `\n` and `\r`, between double quotes. A line end
    /// of its own would let a reader that ends the quotes early go on with it.
    Double,
}

const fn is_escaped(character: char) -> bool {
    matches!(character, '"' | '$' | '\\' | '\n' | '\r')
}

fn escape(character: char, out: &mut WipedBuffer) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        _ => write!(out, "\\{character}"),
    }
}

/// What decides how a value is read.
struct Traits {
    /// Every reader takes it as it is.
    safe: bool,
    /// Every reader but dotenvy takes it as it is.
    unquoted: bool,
    apostrophe: bool,
    quote: bool,
    backslash: bool,
    two_backslashes: bool,
    dollar: bool,
    braces: bool,
    cr: bool,
    crlf: bool,
    ends_with_backslash: bool,
    ends_with_quote: bool,
}

impl Traits {
    fn of(value: &str) -> Self {
        Self {
            safe: value.bytes().all(is_safe),
            unquoted: is_unquoted(value),
            apostrophe: value.contains('\''),
            quote: value.contains('"'),
            backslash: value.contains('\\'),
            two_backslashes: value.contains(r"\\"),
            dollar: value.contains('$'),
            braces: value.contains("${"),
            cr: value.contains('\r'),
            crlf: value.contains("\r\n"),
            ends_with_backslash: value.ends_with('\\'),
            ends_with_quote: value.ends_with('"'),
        }
    }

    /// The one that most readers read exactly; of equal ones the most literal.
    fn quoting(&self) -> Quoting {
        if self.safe {
            return Quoting::None;
        }
        let exact = |quoting: &Quoting| {
            let readers = Reader::ALL.iter();
            readers
                .filter(|reader| self.is_exact(*quoting, **reader))
                .count()
        };
        // The last of equal ones is taken.
        [Quoting::None, Quoting::Double, Quoting::Single]
            .into_iter()
            .max_by_key(exact)
            .unwrap_or(Quoting::Double)
    }

    const fn is_exact(&self, quoting: Quoting, reader: Reader) -> bool {
        match quoting {
            Quoting::None => self.safe || (self.unquoted && !matches!(reader, Reader::Dotenvy)),
            Quoting::Single => {
                !self.apostrophe && !self.ends_with_backslash && self.is_exact_literal(reader)
            }
            Quoting::Double => self.is_exact_escaped(reader),
        }
    }

    /// Between single quotes that stay closed.
    const fn is_exact_literal(&self, reader: Reader) -> bool {
        match reader {
            Reader::ComposeGo | Reader::Dotenvy => true,
            Reader::Godotenv => !self.crlf,
            Reader::Node | Reader::NpmDotenv => !self.cr,
            Reader::PythonDotenv => !self.cr && !self.two_backslashes && !self.braces,
        }
    }

    /// Between double quotes, by the escapes that a reader knows.
    const fn is_exact_escaped(&self, reader: Reader) -> bool {
        let escapes = self.quote || self.backslash || self.dollar;
        match reader {
            Reader::ComposeGo => true,
            Reader::Dotenvy => !self.cr,
            Reader::Godotenv => !self.ends_with_backslash && !self.ends_with_quote,
            Reader::Node => !escapes && !self.cr,
            Reader::NpmDotenv => !escapes,
            Reader::PythonDotenv => !self.dollar,
        }
    }
}

const fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-' | b'.' | b'/' | b':' | b'?' | b'@' | b'%' | b'+' | b',' | b'='
        )
}

/// Nothing that begins a quote, a comment, a variable or another line, and
/// nothing outside that some reader trims.
fn is_unquoted(value: &str) -> bool {
    let blank = |it: char| it.is_whitespace();
    let special = |it: char| {
        it.is_control() || matches!(it, '#' | '$' | '\u{2028}' | '\u{2029}' | '\u{FEFF}')
    };
    !value.starts_with(['\'', '"', '`'])
        && !value.starts_with(blank)
        && !value.ends_with(blank)
        && !value.contains(special)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Reader::{Dotenvy, Godotenv, Node, NpmDotenv, PythonDotenv};
    use secrecy::ExposeSecret;

    fn written(value: &str) -> String {
        let mut out = WipedBuffer::new(1000);
        write(&Line { name: "K", value }, &mut out).expect("it fits");
        let text = out.finish().expect("it fits").expose_secret().to_vec();
        String::from_utf8(text).expect("it is text")
    }

    /// The rows of the table above, in their order.
    #[test]
    fn each_row_of_the_table_is_written_and_read_as_it_says() {
        let rows: [(&str, &str, &[Reader]); 14] = [
            ("abc-1.2/x:y?z@%+,=", "K=abc-1.2/x:y?z@%+,=\n", &[]),
            ("a $b\n#\"c\"", "K='a $b\n#\"c\"'\n", &[]),
            ("a\\nb", "K='a\\nb'\n", &[]),
            ("a\\\\b", "K='a\\\\b'\n", &[PythonDotenv]),
            ("a${X}", "K='a${X}'\n", &[PythonDotenv]),
            ("it's\n#1", "K=\"it's\\n#1\"\n", &[]),
            ("{\"a\":\"it's\"}", "K={\"a\":\"it's\"}\n", &[Dotenvy]),
            ("it's \"x\"", "K=it's \"x\" #' x\n", &[Dotenvy]),
            ("a b\\", "K=a b\\\n", &[Dotenvy]),
            ("it's \"\n", "K=\"it's \\\"\\n\"\n", &[Node, NpmDotenv]),
            (
                "#it's\\",
                "K=\"#it's\\\\\" #\"\n",
                &[Godotenv, Node, NpmDotenv],
            ),
            (
                "it's $1",
                "K=\"it's \\$1\"\n",
                &[Node, NpmDotenv, PythonDotenv],
            ),
            ("a\r\nb", "K=\"a\\r\\nb\"\n", &[Dotenvy, Node]),
            ("$\r", "K='$\r'\n", &[Node, NpmDotenv, PythonDotenv]),
        ];
        for (value, text, readers) in rows {
            assert_eq!(written(value), text);
            assert_eq!(inexact(value), readers, "{text}");
        }
    }

    #[test]
    fn a_quote_is_open_as_dotenvy_sees_it() {
        let values = [
            "", "a'b'", "a'b", "a\"b'", "a\\'b", "a'b\\'", "a'\"'\"", "a\\",
        ];
        let open = values.map(open_quote);
        let (one, two) = (Some('\''), Some('"'));
        assert_eq!(open, [None, None, one, two, None, one, two, None]);
    }
}
