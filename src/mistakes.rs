//! Several mistakes in one line, bounded.

use std::fmt::{self, Display};

/// Several mistakes in one line: all that fit, and how many more there are.
///
/// kubelet shows the line behind a long one of its own, so it stays short; the
/// mistakes keep their order, and equal input gives an equal line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes<T>(Vec<T>);

/// Room for mistakes in one line, in bytes: what an error of ours may have (500),
/// less the words around them.
const ROOM: usize = 400;

impl<T> Mistakes<T> {
    /// `Ok` when there are none.
    ///
    /// # Errors
    /// All of them, when there are some.
    pub fn none_or(mistakes: Vec<T>) -> Result<(), Self> {
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(Self(mistakes))
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T: Display> Display for Mistakes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [mistake] = &self.0[..] {
            return mistake.fmt(f);
        }
        write!(f, "{} mistakes: ", self.0.len())?;
        let mut written = 0;
        for (number, mistake) in self.0.iter().enumerate() {
            let text = mistake.to_string();
            written += text.len() + 2;
            if number > 0 && written > ROOM {
                return write!(f, "; and {} more", self.0.len() - number);
            }
            let separator = if number > 0 { "; " } else { "" };
            write!(f, "{separator}{text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mistakes: Vec<String>) -> String {
        Mistakes::none_or(mistakes)
            .expect_err("there are some")
            .to_string()
    }

    #[test]
    fn one_mistake_stands_alone_and_several_are_counted() {
        assert_eq!(line(vec!["a".to_owned()]), "a");
        assert_eq!(
            line(vec!["a".to_owned(), "b".to_owned()]),
            "2 mistakes: a; b"
        );
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let text = line(vec!["x".repeat(150); 5]);
        assert!(text.ends_with("; and 3 more"), "{text}");
        assert!(text.len() < 450);
    }
}
