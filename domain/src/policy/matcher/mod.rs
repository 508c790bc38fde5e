//! Which of many patterns match a path.
//!
//! Almost every pattern that people write is a few paths of segments in which at most one stretch varies
//! (`/api/v1/orders/[^/]+(/payments)?`). Those are taken apart into [`Sequence`]s and found by the text of
//! one of their segments, so that a path is compared with the few that it may match, whatever the number of
//! rules. Of others what follows their first segments is an expression of an [`Automaton`], which is asked when
//! those are there; what has no such segment is in another one, which every path is asked of. Nothing here
//! allocates once it is warm.

mod automaton;
mod hash;
mod packed;
mod path;
mod sequence;

pub(super) use hash::ShortText;

use super::pattern::parse;
use automaton::Automaton;
use packed::{Compared, Packed};
use path::{MAX_SEGMENTS, Split};
use regex_syntax::hir::Hir;
use sequence::{Key, Sequence, beginning, sequences};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;

/// The patterns did not fit into an automaton.
pub(super) type TooBig = Box<dyn std::error::Error + Send + Sync>;

/// A path could not be followed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotMatched;

/// Patterns by their places in the list that they came in.
#[derive(Debug)]
pub(super) struct Matcher {
    sequences: Packed,
    /// Where the sequences of a key stand; those without one stand at the end.
    by_key: HashMap<u64, Range<u32>, BuildHasherDefault<ShortText>>,
    keyless: Range<u32>,
    /// Of each place of a path, the last segment's behind the others, which lengths a key there has.
    lengths: [u64; MAX_SEGMENTS + 1],
    /// What follows the beginning of some patterns.
    expressions: Option<Automaton>,
    /// Patterns of which nothing is known, and their places.
    others: Option<Automaton>,
    places: Vec<usize>,
}

/// Patterns on their way into the list.
#[derive(Default)]
struct Sorted {
    filed: Vec<Filed>,
    /// What some of them end in, each once.
    expressions: Vec<Hir>,
    places: HashMap<String, usize>,
    /// Those of which nothing is known.
    others: Vec<(usize, Hir)>,
}

/// A sequence, its pattern, and the place of its expression if it ends in one.
struct Filed {
    pattern: usize,
    sequence: Sequence,
    expression: usize,
}

impl Sorted {
    fn push(&mut self, pattern: usize, text: &str) -> Result<(), TooBig> {
        if let Some(sequences) = sequences(text) {
            let file = |sequence| Filed { pattern, sequence, expression: 0 };
            self.filed.extend(sequences.into_iter().map(file));
        } else if let Some((sequence, rest)) = beginning(text) {
            let next = self.expressions.len();
            let expression = *self.places.entry(rest.to_string()).or_insert(next);
            if expression == next {
                self.expressions.push(rest);
            }
            self.filed.push(Filed { pattern, sequence, expression });
        } else {
            self.others.push((pattern, parse(text)?));
        }
        Ok(())
    }
}

fn automaton(expressions: &[Hir]) -> Result<Option<Automaton>, TooBig> {
    (!expressions.is_empty()).then(|| Automaton::new(expressions)).transpose()
}

/// Whether the pattern needs an automaton.
pub(super) fn needs_automaton(pattern: &str) -> bool {
    sequences(pattern).is_none()
}

/// What different accepted patterns take in the automata together.
pub(super) fn automaton_bytes<'a>(patterns: impl Iterator<Item = &'a str>) -> usize {
    let mut sorted = Sorted::default();
    for (place, pattern) in patterns.enumerate() {
        if sorted.push(place, pattern).is_err() {
            return usize::MAX;
        }
    }
    let others = sorted.others.iter().map(|(_, expression)| expression);
    sorted.expressions.iter().chain(others).map(automaton::bytes).fold(0, usize::saturating_add)
}

impl Matcher {
    /// Compiles accepted patterns.
    ///
    /// # Errors
    /// When those that need an automaton are too big for it together.
    pub(super) fn new(patterns: &[&str]) -> Result<Self, TooBig> {
        let mut sorted = Sorted::default();
        for (pattern, text) in patterns.iter().enumerate() {
            sorted.push(pattern, text)?;
        }
        let (places, others): (_, Vec<_>) = sorted.others.into_iter().unzip();
        let mut matcher = Self {
            sequences: Packed::default(),
            by_key: HashMap::default(),
            keyless: 0..0,
            lengths: [0; MAX_SEGMENTS + 1],
            expressions: automaton(&sorted.expressions)?,
            others: automaton(&others)?,
            places,
        };
        matcher.index(sorted.filed);
        Ok(matcher)
    }

    /// Files each sequence under the one of its keys that the fewest others have.
    fn index(&mut self, filed: Vec<Filed>) {
        let mut held_by: HashMap<u64, usize> = HashMap::new();
        for Filed { sequence, .. } in &filed {
            sequence.keys().for_each(|key| *held_by.entry(key.hash()).or_default() += 1);
        }
        let rarest = |filed: Filed| {
            let rarest = filed.sequence.keys().min_by_key(|key| held_by[&key.hash()]);
            if let Some(Key { place, text }) = rarest {
                self.lengths[place] |= length_bit(text.len());
            }
            (rarest.map(Key::hash), filed)
        };
        let mut filed: Vec<_> = filed.into_iter().map(rarest).collect();
        // Those without a key last; those of one key side by side, and the shorter beginnings first.
        let order = |(key, Filed { pattern, sequence, .. }): &(Option<u64>, Filed)| {
            (key.is_none(), *key, sequence.segments.len(), *pattern)
        };
        filed.sort_by_key(order);
        for (key, Filed { pattern, sequence, expression }) in filed {
            let place = self.sequences.len();
            self.sequences.push(pattern, &sequence, expression);
            match key {
                Some(key) => self.by_key.entry(key).or_insert(place..place).end = place + 1,
                None => {
                    let first = if self.keyless.is_empty() { place } else { self.keyless.start };
                    self.keyless = first..place + 1;
                }
            }
        }
    }

    /// Calls `found` with each pattern that matches the canonical path; with some more than once.
    ///
    /// # Errors
    /// When it is not known whether more of them match, which does not happen to a canonical path.
    #[inline]
    pub(super) fn each(&self, path: &str, mut found: impl FnMut(usize)) -> Result<(), NotMatched> {
        let split = Split::of(path);
        let known = (0..split.known()).map(|place| (place, split.segment(place)));
        for (place, text) in known.chain([(MAX_SEGMENTS, split.last())]) {
            if self.lengths[place] & length_bit(text.len()) != 0
                && let Some(range) = self.by_key.get(&Key { place, text }.hash())
            {
                // Another text may have the same hash; what is found is compared as a whole.
                self.compare(range.clone(), &split, &mut found)?;
            }
        }
        self.compare(self.keyless.clone(), &split, &mut found)?;
        let Some(others) = &self.others else { return Ok(()) };
        others.each(split.whole(), 0, |place| found(self.places[place]))
    }

    #[inline]
    fn compare(
        &self,
        range: Range<u32>,
        split: &Split<'_>,
        found: &mut impl FnMut(usize),
    ) -> Result<(), NotMatched> {
        // Up to where the path was followed once already, for all sequences that begin alike.
        let mut followed = 0;
        for sequence in range.clone() {
            match self.sequences.compare(sequence, split) {
                Compared::Other => {}
                Compared::Same(pattern) => found(pattern),
                Compared::If { begin, .. } if begin <= followed => {}
                Compared::If { begin, .. } => {
                    followed = begin;
                    let automaton = self.expressions.as_ref().ok_or(NotMatched)?;
                    automaton.each(split.whole(), begin, |place| {
                        let same = |sequence| self.sequences.compare(sequence, split);
                        for (pattern, expression, from) in
                            range.clone().map(same).filter_map(Compared::condition)
                        {
                            if (expression, from) == (place, begin) {
                                found(pattern);
                            }
                        }
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// A bit for each length below 63, and one for all others.
fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}
