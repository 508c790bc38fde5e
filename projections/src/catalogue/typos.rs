//! Typing errors: which words are near each other, and how they are found among many. Pure.

use super::search::is_unspaced;
use std::collections::BTreeSet;

/// Words that one mistyped word may stand for, the nearest first.
const MAX_ALTERNATIVES: usize = 8;

/// How deletions are made for words that may be one edit apart, and for those that may be two: each from a
/// word's first characters only, so that long words do not have hundreds.
const ONE: Reach = Reach { edits: 1, shortest: 2, longest_beginning: 6 };
const TWO: Reach = Reach { edits: 2, shortest: 4, longest_beginning: 8 };

struct Reach {
    edits: usize,
    /// The fewest characters that two such words still have in common: the shortest word that is given so many
    /// edits, without them.
    shortest: usize,
    /// The longest beginning that is looked at. Two words within so many edits still share a deletion of theirs.
    longest_beginning: usize,
}

/// Whether typing errors in the word are forgiven.
pub(super) fn is_correctable(word: &str) -> bool {
    edits_allowed(word) > 0
}

/// How many edits a word of this length may be away from what was meant. None in short words, in scripts where
/// every character is a word, and where there is a digit: another number is another thing.
fn edits_allowed(word: &str) -> usize {
    if word.chars().any(|c| is_unspaced(c) || c.is_numeric()) {
        return 0;
    }
    match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    }
}

/// By what a word is found that is near another one, or begins like it: what is left of its beginnings when a few
/// characters are taken out, behind how many that may be (symmetric deletion).
pub(super) fn deletions(word: &str) -> Vec<String> {
    let chars: Vec<char> = word.chars().take(TWO.longest_beginning).collect();
    let mut found = BTreeSet::new();
    for reach in [ONE, TWO] {
        for length in reach.shortest..=reach.longest_beginning.min(chars.len()) {
            found.extend(reach.without(&chars[..length]));
        }
    }
    found.into_iter().collect()
}

/// What a mistyped word has in common with the [`deletions`] of whatever is near it, or begins like it.
pub(super) fn lookups(word: &str) -> Vec<String> {
    let reach = match edits_allowed(word) {
        0 => return Vec::new(),
        1 => ONE,
        _ => TWO,
    };
    let chars: Vec<char> = word.chars().take(reach.longest_beginning).collect();
    reach.without(&chars).into_iter().collect()
}

impl Reach {
    fn without(&self, chars: &[char]) -> BTreeSet<String> {
        let mut found = BTreeSet::from([chars.to_vec()]);
        for _ in 0..self.edits {
            let longer: Vec<Vec<char>> = found.iter().cloned().collect();
            for chars in longer.iter().filter(|chars| chars.len() > self.shortest) {
                for skip in 0..chars.len() {
                    let mut shorter = chars.clone();
                    shorter.remove(skip);
                    found.insert(shorter);
                }
            }
        }
        let tagged = |chars| format!("{}{}", self.edits, String::from_iter::<Vec<char>>(chars));
        found.into_iter().map(tagged).collect()
    }
}

/// What a word may have been meant to be, of those `known` that are near it: nothing when the shop knows it, else
/// the nearest first, at most [`MAX_ALTERNATIVES`]. Of a word that is being typed the beginning is enough, on both
/// sides: nothing that begins so is corrected to what begins nearly so.
pub(super) fn corrections(word: &str, known: &[String], is_being_typed: bool) -> Vec<String> {
    if known.iter().any(|near| near == word) {
        return Vec::new();
    }
    let begins_something = known.iter().any(|near| near.starts_with(word));
    let distance = match is_being_typed && !begins_something {
        true => beginning_distance,
        false => edit_distance,
    };
    let mut near: Vec<(usize, &String)> = known
        .iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= edits_allowed(word))
        .collect();
    near.sort();
    near.into_iter().take(MAX_ALTERNATIVES).map(|(_, candidate)| candidate.clone()).collect()
}

/// The number of insertions, deletions, substitutions and transpositions of neighbours between
/// two words (optimal string alignment).
pub(super) fn edit_distance(left: &str, right: &str) -> usize {
    let row = distances(left, right);
    row[row.len() - 1]
}

/// The same between a word and whichever beginning of the other one is nearest.
pub(super) fn beginning_distance(typed: &str, whole: &str) -> usize {
    distances(typed, whole).into_iter().min().unwrap_or(0)
}

/// The distance of `left` from each beginning of `right`, the empty one first.
fn distances(left: &str, right: &str) -> Vec<usize> {
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
    last
}
