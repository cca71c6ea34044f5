//! One tag of a template, as its tokens.

use minijinja::machinery::Token;

use super::{LAST_STATEMENT, STATEMENTS};
use crate::render::template::filters;
use crate::render::template::problem::TemplateProblem;

/// Words of the language: none is a variable.
const WORDS: [&str; 8] = ["and", "else", "if", "in", "is", "not", "or", "recursive"];
/// The map of all secrets, which no other variable may hide.
const ALL: &str = "secrets";

/// The tokens of one tag, from its start to before its end.
pub(super) struct Tag<'t, 's> {
    tokens: &'t [Token<'s>],
    is_block: bool,
}

/// What an open bracket is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Arguments,
    Group,
    List,
    Subscript,
}

const fn unsupported(what: &'static str, instead: &'static str) -> TemplateProblem {
    TemplateProblem::Unsupported { what, instead }
}

const TUPLES: TemplateProblem = unsupported("tuples", "name one value after the other");

impl<'t, 's> Tag<'t, 's> {
    pub(super) fn new(tokens: &'t [Token<'s>]) -> Self {
        let is_block = matches!(tokens.first(), Some(Token::BlockStart));
        let tokens = tokens.get(1..).unwrap_or_default();
        Self { tokens, is_block }
    }

    /// The word that begins a block.
    pub(super) fn statement(&self) -> Option<&'s str> {
        self.word(0).filter(|_| self.is_block)
    }

    fn word(&self, at: usize) -> Option<&'s str> {
        match self.tokens.get(at) {
            Some(Token::Ident(word)) => Some(word),
            _ => None,
        }
    }

    /// The word just before, if there is one.
    fn word_before(&self, at: usize) -> Option<&'s str> {
        self.word(at.checked_sub(1)?)
    }

    fn before(&self, at: usize) -> Option<&Token<'s>> {
        self.tokens.get(at.checked_sub(1)?)
    }

    /// Whether it is all of the language, and its subscripts are written out.
    pub(super) fn check(&self) -> Result<bool, TemplateProblem> {
        self.check_statement()?;
        let mut open = Vec::new();
        let mut literal = true;
        for (at, token) in self.tokens.iter().enumerate() {
            self.check_sign(at, token)?;
            self.check_word(at, token)?;
            self.check_comparison(at, token)?;
            match token {
                Token::ParenOpen => open.push(self.parenthesis(at)?),
                Token::BracketOpen => {
                    let bracket = self.bracket(at)?;
                    literal &= bracket == Bracket::List || self.is_written_out(at);
                    open.push(bracket);
                }
                Token::ParenClose | Token::BracketClose => drop(open.pop()),
                Token::Comma => self.check_comma(at, open.last())?,
                _ => {}
            }
        }
        Ok(literal)
    }

    fn check_statement(&self) -> Result<(), TemplateProblem> {
        let Some(statement) = self.statement() else {
            return Ok(());
        };
        if !STATEMENTS.contains(&statement) && statement != LAST_STATEMENT {
            return Err(TemplateProblem::unknown(
                "statement",
                statement,
                &STATEMENTS,
            ));
        }
        match (statement, self.word(1)) {
            ("filter", Some(name)) => known_filter(name)?,
            ("set", Some(name)) => check_target(name)?,
            ("for", _) => {
                let targets = self.tokens[1..].iter();
                let targets = targets.take_while(|token| !matches!(token, Token::Ident("in")));
                for target in targets {
                    if let Token::Ident(name) = target {
                        check_target(name)?;
                    }
                }
                if matches!(self.tokens.last(), Some(Token::Ident("recursive"))) {
                    return Err(unsupported("recursive loops", "remove \"recursive\""));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Signs with a cost that nobody counts.
    fn check_sign(&self, at: usize, token: &Token<'_>) -> Result<(), TemplateProblem> {
        let next = self.tokens.get(at + 1);
        Err(match token {
            Token::Plus | Token::Mul | Token::Div | Token::FloorDiv | Token::Pow | Token::Mod => {
                unsupported("+ * / // % and **", "join texts with ~")
            }
            Token::Colon => unsupported("slices", "use a filter such as first, trim or replace"),
            Token::BraceOpen => unsupported("maps in braces", "there is the map \"secrets\""),
            Token::Dot if !matches!(next, Some(Token::Ident(_))) => {
                unsupported("numbers after a dot", "use the filter first or last")
            }
            Token::Assign => return self.word_before(at).map_or(Ok(()), check_target),
            _ => return Ok(()),
        })
    }

    /// Names of filters and tests.
    fn check_word(&self, at: usize, token: &Token<'_>) -> Result<(), TemplateProblem> {
        match token {
            Token::Pipe => self.word(at + 1).map_or(Ok(()), known_filter)?,
            Token::Ident("is") if !matches!(self.before(at), Some(Token::Dot)) => {
                let negated = usize::from(self.word(at + 1) == Some("not"));
                let name = self.word(at + 1 + negated).unwrap_or_default();
                if !filters::TESTS.contains(&name) {
                    return Err(TemplateProblem::unknown("test", name, &filters::TESTS));
                }
            }
            _ => return Ok(()),
        }
        Ok(())
    }

    /// One side of a comparison is written out, so that it costs little.
    fn check_comparison(&self, at: usize, token: &Token<'_>) -> Result<(), TemplateProblem> {
        let plain = match token {
            Token::Eq | Token::Ne | Token::Lt | Token::Lte | Token::Gt | Token::Gte => false,
            Token::Ident("in") => {
                let before = self.tokens[..at].iter();
                let mut others = before.filter(|token| matches!(token, Token::Ident("in")));
                let of_loop = self.statement() == Some("for") && others.next().is_none();
                let list = matches!(self.tokens.get(at + 1), Some(Token::BracketOpen));
                let map = self.word(at + 1) == Some(ALL) && self.is_alone(at + 1);
                of_loop || list || map
            }
            _ => true,
        };
        // `not in`: the left side is one further away.
        let left = at.checked_sub(if self.word_before(at) == Some("not") {
            2
        } else {
            1
        });
        if plain || self.is_literal(at + 1) || left.is_some_and(|left| self.is_literal(left)) {
            return Ok(());
        }
        Err(unsupported(
            "comparisons of two computed values",
            "write one side out, as in KEY == \"on\"",
        ))
    }

    /// Whether a text or a number stands alone on its side of an operator.
    fn is_literal(&self, at: usize) -> bool {
        let literal = matches!(
            self.tokens.get(at),
            Some(Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Float(_))
        );
        literal && self.is_alone(at)
    }

    fn is_alone(&self, at: usize) -> bool {
        let joins = |token: Option<&Token<'_>>| {
            matches!(
                token,
                Some(Token::Tilde | Token::Minus | Token::Pipe | Token::Dot | Token::BracketOpen)
            )
        };
        !joins(self.before(at)) && !joins(self.tokens.get(at + 1))
    }

    /// What a parenthesis opens: a call only of a filter or a test.
    fn parenthesis(&self, at: usize) -> Result<Bracket, TemplateProblem> {
        if !self.ends_value(at) {
            return Ok(Bracket::Group);
        }
        let name = self.word_before(at);
        let before = at.checked_sub(2).and_then(|at| self.tokens.get(at));
        match (before, name) {
            (Some(Token::Pipe | Token::Ident("is" | "not")), Some(_)) => Ok(Bracket::Arguments),
            _ if at == 2 && self.statement() == Some("filter") => Ok(Bracket::Arguments),
            (Some(Token::Dot), Some(_)) => Err(unsupported("methods", "use a filter: text|upper")),
            (_, Some(name)) => Err(TemplateProblem::unknown("function", name, &[])),
            _ => Err(unsupported("calls of values", "use a filter: text|upper")),
        }
    }

    /// What a square bracket opens: a subscript only of the map of all secrets,
    /// a list only of texts and numbers.
    fn bracket(&self, at: usize) -> Result<Bracket, TemplateProblem> {
        if self.ends_value(at) {
            let of_attribute = at > 1 && matches!(self.tokens[at - 2], Token::Dot);
            if self.word_before(at) == Some(ALL) && !of_attribute {
                return Ok(Bracket::Subscript);
            }
            return Err(unsupported(
                "subscripts of other things than \"secrets\"",
                "use the filter first or last",
            ));
        }
        let inside = self.tokens[at + 1..].iter();
        let mut inside = inside.take_while(|token| !matches!(token, Token::BracketClose));
        let plain = inside.all(|token| {
            matches!(
                token,
                Token::Comma | Token::Str(_) | Token::String(_) | Token::Int(_)
            )
        });
        plain.then_some(Bracket::List).ok_or(unsupported(
            "lists of other things than texts and numbers",
            "loop over secrets|items",
        ))
    }

    /// Whether a value ends just before.
    fn ends_value(&self, at: usize) -> bool {
        match self.before(at) {
            Some(Token::Ident(word)) => {
                let begins = at == 1 && self.is_block;
                !begins && !WORDS.contains(word)
            }
            Some(Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_)) => true,
            Some(Token::Float(_) | Token::ParenClose | Token::BracketClose) => true,
            _ => false,
        }
    }

    fn is_written_out(&self, at: usize) -> bool {
        matches!(
            self.tokens.get(at + 1..at + 3),
            Some([Token::Str(_) | Token::String(_), Token::BracketClose])
        )
    }

    /// A comma stands between arguments, items or names, and makes no tuple.
    fn check_comma(&self, at: usize, open: Option<&Bracket>) -> Result<(), TemplateProblem> {
        let targets = self.statement() == Some("for")
            && !self.tokens[..at]
                .iter()
                .any(|token| matches!(token, Token::Ident("in")));
        match open {
            Some(Bracket::Arguments | Bracket::List) => Ok(()),
            None if self.statement() == Some("with") => Ok(()),
            _ if targets => Ok(()),
            _ => Err(TUPLES),
        }
    }
}

fn known_filter(name: &str) -> Result<(), TemplateProblem> {
    if filters::NAMES.contains(&name) {
        return Ok(());
    }
    Err(TemplateProblem::unknown("filter", name, &filters::NAMES))
}

fn check_target(name: &str) -> Result<(), TemplateProblem> {
    if name == ALL || WORDS.contains(&name) {
        return Err(unsupported(
            "variables named \"secrets\", or like a word of the language,",
            "choose another name",
        ));
    }
    Ok(())
}
