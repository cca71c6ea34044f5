//! Which part of Jinja templates may use.
//!
//! minijinja limits brackets and blocks within each other, and counts work while
//! it renders, but neither the length of a chain (`- - - x`, `a ~ b ~ c`, `elif`
//! after `elif`), which it walks by recursion, nor the work of a slice, of an
//! index into a text, of comparing two long texts or of printing lists that hold
//! each other a thousandfold.
//! These are left out here, over its own tokens, before it parses them.

mod tag;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::malformed;
use super::problem::{TemplateError, TemplateProblem};
use tag::Tag;

/// The words that begin a block.
const STATEMENTS: [&str; 11] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "endset", "with", "endwith", "filter",
];
const LAST_STATEMENT: &str = "endfilter";
/// How many tokens a tag may have: the depth of the recursion it may cause.
const LONGEST_TAG: usize = 256;
/// How many `elif` a template may have: each is parsed within the one before.
const MOST_BRANCHES: usize = 64;

/// Checks a template, and says whether all its subscripts are written out.
pub(super) fn check(source: &str, syntax: &SyntaxConfig) -> Result<bool, TemplateError> {
    let mut literal_subscripts = true;
    let mut branches = 0;
    let mut tag: Option<(usize, Vec<Token<'_>>)> = None;
    for token in tokenize(source, false, syntax.clone()) {
        let (token, span) = token.map_err(|error| malformed(&error, source))?;
        match (&mut tag, token) {
            (_, Token::TemplateData(_)) => {}
            (_, start @ (Token::VariableStart | Token::BlockStart)) => {
                tag = Some((line(span), vec![start]));
            }
            (Some((at, tokens)), Token::VariableEnd | Token::BlockEnd) => {
                let tag = Tag::new(tokens);
                branches += usize::from(tag.statement() == Some("elif"));
                literal_subscripts &= tag.check().map_err(|problem| problem.at(Some(*at)))?;
            }
            (Some((at, tokens)), token) => {
                tokens.push(token);
                if tokens.len() > LONGEST_TAG {
                    return Err(TemplateProblem::LongTag.at(Some(*at)));
                }
            }
            (None, _) => {}
        }
        if branches > MOST_BRANCHES {
            return Err(TemplateProblem::ManyBranches.at(Some(line(span))));
        }
    }
    Ok(literal_subscripts)
}

fn line(span: Span) -> usize {
    usize::from(span.start_line)
}
