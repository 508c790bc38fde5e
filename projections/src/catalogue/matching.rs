//! From what somebody types to what PostgreSQL looks for.

use super::search::{self, Term};
use super::typos;
use crate::page::QueryError;
use sqlx::PgPool;

/// Words near the mistyped ones of one query that are compared with them, those of most products first.
const MAX_NEAR_WORDS: i64 = 2_000;

/// What `to_tsquery` shall look for: every word, the last one as a beginning, a word that no
/// product has as any of those near it. None when the text holds no word.
pub(super) async fn expression(pool: &PgPool, text: &str) -> Result<Option<String>, QueryError> {
    let terms = search::query_terms(text);
    let Some(last) = terms.len().checked_sub(1) else { return Ok(None) };
    let known = near_words(pool, &terms).await?;
    let terms = terms.iter().enumerate();
    let sought: Vec<String> = terms.map(|(at, term)| sought(term, at == last, &known)).collect();
    Ok(Some(sought.join(" & ")))
}

/// All words of a term, or the one that they make.
fn sought(term: &Term, is_being_typed: bool, known: &[String]) -> String {
    let last = term.words.len() - 1;
    let words = term.words.iter().enumerate().map(|(at, word)| {
        let is_being_typed = is_being_typed && at == last;
        let near = typos::corrections(word, known, is_being_typed);
        let mut alternatives = vec![lexeme(word, is_being_typed)];
        alternatives.extend(near.iter().map(|near| lexeme(near, false)));
        format!("({})", alternatives.join(" | "))
    });
    let words = words.collect::<Vec<_>>().join(" & ");
    match &term.joined {
        Some(joined) => format!("(({words}) | {})", lexeme(joined, is_being_typed)),
        None => words,
    }
}

/// Words hold letters, digits and marks only, so they need no escape.
fn lexeme(word: &str, is_beginning: bool) -> String {
    format!("'{word}'{}", if is_beginning { ":*" } else { "" })
}

/// Words of published products that may be near one of these.
async fn near_words(pool: &PgPool, terms: &[Term]) -> Result<Vec<String>, QueryError> {
    let words = terms.iter().flat_map(|term| &term.words);
    let lookups: Vec<String> = words.flat_map(|word| typos::lookups(word)).collect();
    if lookups.is_empty() {
        return Ok(Vec::new());
    }
    let near = sqlx::query_scalar(
        "select word from catalogue_words where deletions && $1 order by uses desc, word limit $2",
    );
    Ok(near.bind(lookups).bind(MAX_NEAR_WORDS).fetch_all(pool).await?)
}
