//! Sequences as they are compared: side by side in a few lists, so that a comparison waits for little memory.

use super::path::Split;
use super::sequence::{ANYTHING, Kind, Part, Run, SEGMENT, Sequence};
use memchr::memchr;

/// Many sequences.
#[derive(Debug, Default)]
pub(super) struct Packed {
    sequences: Vec<PackedSequence>,
    parts: Vec<PackedPart>,
    kinds: Vec<Kind>,
    texts: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct PackedSequence {
    pattern: u32,
    /// The text of what does not vary at the beginning; the first part begins behind it.
    text: u32,
    length: u16,
    /// Which segment the first part is.
    first: u8,
    /// None when nothing varies.
    parts: u8,
    /// Where those behind the first one are.
    others: u32,
    part: PackedPart,
}

#[derive(Debug, Clone, Copy, Default)]
struct PackedPart {
    /// Of `before`, behind which is `after`.
    text: u32,
    before: u16,
    after: u16,
    kind: u32,
    min: u16,
    max: u16,
}

/// The kind of a part in which nothing varies.
const FIXED: u32 = u32::MAX;

/// The kind of a part that is an expression; its place among those of the automaton is in `text`.
const EXPRESSION: u32 = u32::MAX - 1;

/// What a sequence says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// It does not match.
    Other,
    /// It matches, and so does its pattern.
    Same(usize),
    /// It matches if the expression does from there on.
    If { pattern: usize, expression: usize, begin: usize },
}

impl Compared {
    /// What it takes for the sequence to match, where the expression decides.
    pub(super) fn condition(self) -> Option<(usize, usize, usize)> {
        match self {
            Self::If { pattern, expression, begin } => Some((pattern, expression, begin)),
            Self::Other | Self::Same(_) => None,
        }
    }
}

/// A length, of which those that no path has are all the same.
fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A place in a list: a policy's bounds keep the lists far below this.
fn place(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Packed {
    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        place(self.sequences.len())
    }

    /// Adds one of the pattern. If it ends in an expression, that is the one of this place.
    pub(super) fn push(&mut self, pattern: usize, sequence: &Sequence, expression: usize) {
        let parts: Vec<&Part> =
            sequence.segments.iter().chain(std::iter::once(&sequence.rest)).collect();
        let fixed = parts.iter().take_while(|part| part.text().is_some()).count();
        let (text, others) = (place(self.texts.len()), place(self.parts.len()));
        for fixed in &parts[..fixed] {
            self.texts.push(b'/');
            self.texts.extend_from_slice(&fixed.before);
        }
        if fixed < parts.len() {
            self.texts.push(b'/');
        }
        let length = short(self.texts.len() - text as usize);
        let mut varying = parts[fixed..].iter();
        let part = varying.next().map(|part| self.packed(part, expression)).unwrap_or_default();
        for other in varying {
            let other = self.packed(other, expression);
            self.parts.push(other);
        }
        self.sequences.push(PackedSequence {
            pattern: place(pattern),
            text,
            length,
            first: fixed as u8,
            parts: (parts.len() - fixed) as u8,
            others,
            part,
        });
    }

    fn packed(&mut self, part: &Part, expression: usize) -> PackedPart {
        if part.is_expression {
            let text = place(expression);
            return PackedPart { text, kind: EXPRESSION, ..PackedPart::default() };
        }
        let text = place(self.texts.len());
        self.texts.extend_from_slice(&part.before);
        self.texts.extend_from_slice(&part.after);
        let (kind, min, max) = match part.run {
            None => (FIXED, 0, 0),
            Some(Run { kind, min, max }) => {
                let known = self.kinds.iter().position(|known| *known == kind);
                let known = known.unwrap_or_else(|| {
                    self.kinds.push(kind);
                    self.kinds.len() - 1
                });
                (place(known), short(min as usize), short(max as usize))
            }
        };
        let (before, after) = (short(part.before.len()), short(part.after.len()));
        PackedPart { text, before, after, kind, min, max }
    }

    /// Compares one with a path.
    #[inline]
    pub(super) fn compare(&self, sequence: u32, path: &Split<'_>) -> Compared {
        let sequence = &self.sequences[sequence as usize];
        let text = self.text(sequence.text, sequence.length);
        let pattern = sequence.pattern as usize;
        let first = usize::from(sequence.first);
        let same = |matches| if matches { Compared::Same(pattern) } else { Compared::Other };
        let Some(last) = usize::from(sequence.parts).checked_sub(1) else {
            return same(path.whole() == text);
        };
        if first + last >= path.known() || !path.whole().starts_with(text) {
            return Compared::Other;
        }
        if sequence.part.kind == EXPRESSION {
            let expression = sequence.part.text as usize;
            return Compared::If { pattern, expression, begin: text.len() };
        }
        let others = &self.parts[sequence.others as usize..][..last];
        let at = |index: usize| {
            if index == last { path.rest(first + last) } else { path.segment(first + index) }
        };
        let is_first = self.is(&sequence.part, at(0));
        let mut others = (1..).zip(others);
        same(is_first && others.all(|(index, part)| self.is(part, at(index))))
    }

    #[inline]
    fn is(&self, part: &PackedPart, text: &[u8]) -> bool {
        let (before, after) = (usize::from(part.before), usize::from(part.after));
        if part.kind == FIXED {
            return text == self.text(part.text, part.before);
        }
        let Some(varying) = text.len().checked_sub(before + after) else { return false };
        if varying < usize::from(part.min) || varying > usize::from(part.max) {
            return false;
        }
        let (head, tail) = text.split_at(before);
        let (middle, tail) = tail.split_at(varying);
        let same = |text: &[u8], at: usize| text.is_empty() || self.texts[at..].starts_with(text);
        let at = part.text as usize;
        same(head, at)
            && same(tail, at + before)
            && match self.kinds[part.kind as usize] {
                ANYTHING => true,
                SEGMENT => memchr(b'/', middle).is_none(),
                // Without a branch a character, which is faster for the few that there are.
                kind => middle.iter().fold(true, |all, byte| all & kind.has(*byte)),
            }
    }

    #[inline]
    fn text(&self, from: u32, length: u16) -> &[u8] {
        &self.texts[from as usize..][..usize::from(length)]
    }
}
