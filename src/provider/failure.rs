//! A refused mount: why, and the one line that the pod's user reads.

use tonic::Status;

use crate::cause::Cause;

/// The longest text of an error in bytes. It ends up at the end of an already
/// long line in the pod's events.
pub(super) const MAX_TEXT: usize = 500;

/// A refused mount: the cause decides the gRPC code, the message is what
/// `kubectl describe pod` shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// What failed, on which object, what to do next. Sent as one line of at
    /// most 500 bytes, whatever is written here.
    pub message: String,
}

impl Failure {
    /// A failure whose message is made one line of at most 500 bytes.
    pub fn new(cause: Cause, message: impl std::fmt::Display) -> Self {
        let message = one_line(&message.to_string());
        Self { cause, message }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        Self::new(failure.cause.code(), one_line(&failure.message))
    }
}

/// The text without control characters and line ends, cut at a character
/// so that it has at most [`MAX_TEXT`] bytes.
pub(super) fn one_line(text: &str) -> String {
    let mut line: String = text.chars().map(printable).collect();
    if line.len() > MAX_TEXT {
        let fits = |end: &usize| *end <= MAX_TEXT - ELLIPSIS.len();
        let end = line
            .char_indices()
            .map(|(at, _)| at)
            .take_while(fits)
            .last();
        line.truncate(end.unwrap_or(0));
        line.push_str(ELLIPSIS);
    }
    line
}

fn printable(c: char) -> char {
    let line_end = matches!(c, '\u{2028}' | '\u{2029}');
    if c.is_control() || line_end { ' ' } else { c }
}

const ELLIPSIS: &str = "…";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_short_clean_message_is_left_as_it_is() {
        let text = "app \"läden\" not found: it has a and b";
        assert_eq!(Failure::new(Cause::NotFound, text).message, text);
    }

    #[test]
    fn line_ends_and_control_characters_become_spaces() {
        assert_eq!(one_line("a\nb\r\tc\u{1b}[31m\u{2028}d\0"), "a b  c [31m d ");
    }

    #[test]
    fn a_message_of_exactly_500_bytes_is_kept_and_501_is_cut() {
        assert_eq!(one_line(&"x".repeat(500)), "x".repeat(500));
        let cut = one_line(&"x".repeat(501));
        assert_eq!(cut, format!("{}…", "x".repeat(497)));
    }

    #[test]
    fn a_message_written_past_the_constructor_is_cleaned_on_its_way_out() {
        let message = format!("a\n{}", "é".repeat(400));
        let failure = Failure {
            cause: Cause::Undecryptable,
            message,
        };
        let status = Status::from(failure);
        assert_eq!(status.code(), Code::DataLoss);
        assert!(status.message().starts_with("a é"));
        assert!(status.message().len() <= MAX_TEXT);
    }

    proptest! {
        #[test]
        fn every_text_becomes_one_short_line(text in "(.|\\PC|\n|[\u{80}-\u{9f}]){0,700}") {
            let line = one_line(&text);
            prop_assert!(line.len() <= MAX_TEXT);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
