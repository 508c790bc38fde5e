//! Words: how a text is cut into those that it is found by, and a query into those that it looks for. Pure.

use super::fold::{fold, is_of_word};
use super::typos::is_correctable;
use std::collections::BTreeSet;

/// Words longer than this are cut: the longest SKU, and an index entry has a size limit.
const MAX_WORD_CHARS: usize = 64;

/// Words of one product's description that can be found; more would only cost.
const MAX_TEXT_WORDS: usize = 4_000;

/// Words of a query that are looked at. What is between words is none.
const MAX_QUERY_WORDS: usize = 8;

/// One thing that somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// Its words, all of which have to be there; at least one.
    pub(super) words: Vec<String>,
    /// The same as one word, where hyphens and the like join them: whoever has that has it, too.
    pub(super) joined: Option<String>,
}

/// What a query looks for, folded, in order; at most [`MAX_QUERY_WORDS`] words in all.
///
/// A run of letters and digits is a word. Scripts without spaces are cut into overlapping pairs, and what
/// is a single character there is a word.
pub(super) fn query_terms(text: &str) -> Vec<Term> {
    let (folded, mut terms, mut room) = (fold(text), Vec::new(), MAX_QUERY_WORDS);
    for compound in compounds(&folded) {
        if room == 0 {
            break;
        }
        let parts = parts_of(compound);
        let mut words = Vec::new();
        parts.iter().for_each(|part| push_run(&mut words, part, Cut::ToFind));
        let joined = joined(&parts).filter(|_| words.len() <= room);
        words.truncate(room);
        room -= words.len();
        if !words.is_empty() {
            terms.push(Term { words, joined });
        }
    }
    terms
}

/// The words under which a text is found, folded, at most [`MAX_TEXT_WORDS`], separated by spaces: those that
/// [`query_terms`] looks for, so words that hyphens and the like join also as one (`t-shirt`: `t`, `shirt`,
/// `tshirt`), and of scripts without spaces every character and every pair.
pub(super) fn index_words(text: &str) -> String {
    let (folded, mut words) = (fold(text), Vec::new());
    for compound in compounds(&folded) {
        let parts = parts_of(compound);
        parts.iter().for_each(|part| push_run(&mut words, part, Cut::ToBeFound));
        words.extend(joined(&parts));
        if words.len() >= MAX_TEXT_WORDS {
            words.truncate(MAX_TEXT_WORDS);
            break;
        }
    }
    words.join(" ")
}

/// The distinct words that are worth correcting typing errors to.
pub(super) fn vocabulary<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let words = texts.into_iter().flat_map(|text| text.split(' '));
    let distinct: BTreeSet<&str> = words.filter(|word| is_correctable(word)).collect();
    distinct.into_iter().map(str::to_owned).collect()
}

/// Han, kana, hangul, and the scripts of South-East Asia: written without spaces between words, or nearly so.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0EFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{312F}'
        | '\u{31F0}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{323AF}')
}

/// Runs of words and of what joins them.
fn compounds(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c: char| !is_of_word(c) && !is_joint(c))
}

fn parts_of(compound: &str) -> Vec<&str> {
    compound.split(is_joint).filter(|part| !part.is_empty()).collect()
}

/// The parts as one word; none where there is only one, or where the script makes no words.
fn joined(parts: &[&str]) -> Option<String> {
    let is_one = parts.len() > 1 && !parts.iter().any(|part| part.chars().any(is_unspaced));
    is_one.then(|| cut(parts.iter().flat_map(|part| part.chars())))
}

/// What the words of a script without spaces are cut for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Into what tells most: pairs.
    ToFind,
    /// Into all that somebody may look for: characters and pairs.
    ToBeFound,
}

fn push_run(words: &mut Vec<String>, run: &str, how: Cut) {
    let chars: Vec<char> = run.chars().collect();
    for part in chars.chunk_by(|a, b| is_unspaced(*a) == is_unspaced(*b)) {
        if part.len() > 1 && is_unspaced(part[0]) {
            if how == Cut::ToBeFound {
                words.extend(part.iter().map(char::to_string));
            }
            words.extend(part.windows(2).map(String::from_iter));
        } else {
            words.push(cut(part.iter().copied()));
        }
    }
}

fn cut(word: impl Iterator<Item = char>) -> String {
    word.take(MAX_WORD_CHARS).collect()
}

/// What makes one word of several: in names, and in SKUs.
fn is_joint(c: char) -> bool {
    matches!(c, '-' | '_' | '\'' | '’')
}
