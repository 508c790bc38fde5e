//! Words: how text is cut into them, and which of them are near each other. Pure.

use std::collections::BTreeSet;

/// Words longer than this are cut: nobody types more, and an index entry has a size limit.
const MAX_WORD_CHARS: usize = 32;

/// Words of one product's description that can be found; more would only cost.
const MAX_TEXT_WORDS: usize = 2_000;

/// Words of a query that are looked at.
const MAX_QUERY_WORDS: usize = 8;

/// Words that one mistyped word may stand for, the nearest first.
const MAX_ALTERNATIVES: usize = 8;

/// Deletions are made from a word's first characters only, so that long words do not have
/// hundreds. Two words within two edits still share a deletion of their beginnings.
const DELETION_PREFIX_CHARS: usize = 8;

/// The words of a text, folded to lower case, in order.
///
/// A run of letters and digits is a word. Scripts without spaces are cut into overlapping pairs,
/// which finds every part of a name that has at least two characters.
pub(super) fn query_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for run in text.split(|c: char| !c.is_alphanumeric()).take(MAX_QUERY_WORDS) {
        push_run(&mut words, run);
    }
    words.truncate(MAX_QUERY_WORDS);
    words
}

/// The words under which a text is found, at most [`MAX_TEXT_WORDS`], separated by spaces: those
/// of [`query_words`], and words joined by a hyphen or an apostrophe also as one (`t-shirt`: `t`,
/// `shirt`, `tshirt`).
pub(super) fn index_words(text: &str) -> String {
    let mut words = Vec::new();
    for compound in text.split(|c: char| !c.is_alphanumeric() && !is_joint(c)) {
        let parts: Vec<&str> = compound.split(is_joint).filter(|part| !part.is_empty()).collect();
        for part in &parts {
            push_run(&mut words, part);
        }
        if parts.len() > 1 && !compound.chars().any(is_unspaced) {
            push_word(&mut words, &parts.concat());
        }
        if words.len() >= MAX_TEXT_WORDS {
            words.truncate(MAX_TEXT_WORDS);
            break;
        }
    }
    words.join(" ")
}

/// The distinct words that are worth correcting typing errors to.
pub(super) fn vocabulary<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let distinct: BTreeSet<String> = texts
        .into_iter()
        .flat_map(|text| text.split(' '))
        .filter(|word| edits_allowed(word) > 0)
        .map(str::to_owned)
        .collect();
    distinct.into_iter().collect()
}

/// How many edits a word of this length may be away from what was meant; none in short words and
/// in scripts where every character is a word.
pub(super) fn edits_allowed(word: &str) -> usize {
    if word.chars().any(is_unspaced) {
        return 0;
    }
    match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

/// What is left of the word's beginning when none, one or two characters are taken out. Two words
/// that are at most two edits apart have one of these in common (symmetric deletion).
pub(super) fn deletions(word: &str) -> Vec<String> {
    let prefix: Vec<char> = word.chars().take(DELETION_PREFIX_CHARS).collect();
    let mut found = BTreeSet::from([prefix.clone()]);
    for _ in 0..2 {
        let longer: Vec<Vec<char>> = found.iter().cloned().collect();
        for chars in longer {
            for skip in 0..chars.len() {
                let mut shorter = chars.clone();
                shorter.remove(skip);
                found.insert(shorter);
            }
        }
    }
    found.into_iter().filter(|chars| !chars.is_empty()).map(String::from_iter).collect()
}

/// What a word may have been meant to be: nothing when the shop knows it, else those of the
/// `known` words that are near enough, the nearest first, at most [`MAX_ALTERNATIVES`].
pub(super) fn corrections(word: &str, known: &[String]) -> Vec<String> {
    if known.iter().any(|near| near == word) {
        return Vec::new();
    }
    let mut near: Vec<(usize, &String)> = known
        .iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= edits_allowed(word))
        .collect();
    near.sort();
    near.into_iter().take(MAX_ALTERNATIVES).map(|(_, candidate)| candidate.clone()).collect()
}

/// The number of insertions, deletions, substitutions and transpositions of neighbours between
/// two words (optimal string alignment).
pub(super) fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

fn push_run(words: &mut Vec<String>, run: &str) {
    let chars: Vec<char> = run.chars().collect();
    for part in chars.chunk_by(|a, b| is_unspaced(*a) == is_unspaced(*b)) {
        if part.len() > 1 && is_unspaced(part[0]) {
            part.windows(2).for_each(|pair| push_word(words, &String::from_iter(pair)));
        } else if !part.is_empty() {
            push_word(words, &String::from_iter(part));
        }
    }
}

fn push_word(words: &mut Vec<String>, word: &str) {
    words.push(word.to_lowercase().chars().take(MAX_WORD_CHARS).collect());
}

fn is_joint(c: char) -> bool {
    matches!(c, '-' | '\'' | '’')
}

/// Han, kana, hangul and Thai: written without spaces between words, or nearly so.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E00}'..='\u{0E7F}'
        | '\u{3040}'..='\u{30FF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{323AF}')
}
