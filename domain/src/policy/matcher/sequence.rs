//! Patterns that are segments after segments, in each of which at most one stretch varies.

use super::ShortText;
use super::path::MAX_SEGMENTS;
use crate::policy::pattern::parse;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use std::hash::Hasher as _;

/// The most sequences that one pattern is taken apart into; one that is more goes to the automaton.
const MAX_SEQUENCES: usize = 16;

/// One way to match a pattern.
#[derive(Debug)]
pub(in crate::policy) struct Sequence {
    /// Each is one whole segment.
    pub(super) segments: Box<[Part]>,
    /// All that follows them.
    pub(super) rest: Part,
}

/// A text in which one stretch may vary.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) before: Box<[u8]>,
    pub(super) run: Option<Run>,
    pub(super) after: Box<[u8]>,
    /// Whether it is an expression instead, which the automaton knows.
    pub(super) is_expression: bool,
}

/// Characters of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) min: u32,
    pub(super) max: u32,
}

/// A set of ASCII characters, which are all that a canonical path has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind([u64; 2]);

/// What a segment has.
pub(super) const SEGMENT: Kind = Kind([ANYTHING.0[0] & !(1 << b'/'), ANYTHING.0[1]]);

/// What a canonical path has.
pub(super) const ANYTHING: Kind = {
    let (mut bits, mut byte) = ([0; 2], 0_u8);
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'~' | b'-') {
            bits[(byte / 64) as usize] |= 1 << (byte % 64);
        }
        byte += 1;
    }
    Kind(bits)
};

/// A segment that a path must have at a place for a sequence to match: [`MAX_SEGMENTS`] is the last one's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) place: usize,
    pub(super) text: &'a [u8],
}

impl Key<'_> {
    #[inline]
    pub(super) fn hash(self) -> u64 {
        let mut hasher = ShortText::default();
        hasher.write(&[self.place as u8]);
        hasher.write(self.text);
        hasher.finish()
    }
}

/// The pattern as sequences; nothing if it is none of these.
pub(in crate::policy) fn sequences(pattern: &str) -> Option<Vec<Sequence>> {
    let hir = parse(pattern).ok()?;
    alternatives(&hir)?.iter().map(|atoms| Sequence::of(atoms)).collect()
}

/// A pattern that is none, as the segments that every path of it begins with and an expression for all that
/// follows them; nothing if there is no such segment.
pub(super) fn beginning(pattern: &str) -> Option<(Sequence, Hir)> {
    let hir = parse(pattern).ok()?;
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let (first, others) = match parts.split_first()? {
        // It is at the beginning anyway.
        (first, others) if *first.kind() == HirKind::Look(Look::Start) => others.split_first()?,
        split => split,
    };
    let HirKind::Literal(text) = first.kind() else { return None };
    let text = text.0.strip_prefix(b"/")?;
    let (whole, begun) = text.split_at(text.iter().rposition(|byte| *byte == b'/')?);
    let fixed = |text: &[u8]| Part { before: text.into(), ..Part::default() };
    let segments: Box<[Part]> = whole.split(|byte| *byte == b'/').map(fixed).collect();
    let begun = Hir::literal(&begun[1..]);
    let rest = Hir::concat(std::iter::once(begun).chain(others.iter().cloned()).collect());
    let sequence = Sequence { segments, rest: Part { is_expression: true, ..Part::default() } };
    (sequence.segments.len() < MAX_SEGMENTS).then_some((sequence, rest))
}

#[derive(Debug, Clone, Copy)]
enum Atom {
    Byte(u8),
    Run(Run),
}

/// All ways to match the expression, if they are few and none repeats more than characters.
fn alternatives(hir: &Hir) -> Option<Vec<Vec<Atom>>> {
    let ways = match hir.kind() {
        HirKind::Empty => vec![vec![]],
        HirKind::Literal(text) => vec![text.0.iter().copied().map(Atom::Byte).collect()],
        HirKind::Class(class) => vec![vec![Atom::Run(Run { kind: kind(class), min: 1, max: 1 })]],
        HirKind::Look(_) => return None,
        HirKind::Capture(capture) => alternatives(&capture.sub)?,
        HirKind::Repetition(repetition) => {
            let (min, max) = (repetition.min, repetition.max);
            if let HirKind::Class(class) = without_capture(&repetition.sub).kind() {
                let run = Run { kind: kind(class), min, max: max.unwrap_or(u32::MAX) };
                vec![vec![Atom::Run(run)]]
            } else if (min, max) == (0, Some(1)) {
                let mut ways = alternatives(&repetition.sub)?;
                ways.push(vec![]);
                ways
            } else {
                return None;
            }
        }
        HirKind::Concat(parts) => parts.iter().try_fold(vec![vec![]], |ways, part| {
            let next = alternatives(part)?;
            let together = |way: &Vec<Atom>| -> Vec<_> {
                next.iter().map(|next| [way.as_slice(), next].concat()).collect()
            };
            let few = ways.len() * next.len() <= MAX_SEQUENCES;
            few.then(|| ways.iter().flat_map(together).collect())
        })?,
        HirKind::Alternation(parts) => {
            let ways: Option<Vec<_>> = parts.iter().map(alternatives).collect();
            ways?.concat()
        }
    };
    (ways.len() <= MAX_SEQUENCES).then_some(ways)
}

fn without_capture(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => without_capture(&capture.sub),
        _ => hir,
    }
}

/// The characters of the class that a canonical path may have.
fn kind(class: &Class) -> Kind {
    let mut bits = [0; 2];
    let holds = |byte: u8| match class {
        Class::Bytes(class) => {
            class.iter().any(|range| (range.start()..=range.end()).contains(&byte))
        }
        Class::Unicode(class) => {
            class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte)))
        }
    };
    for byte in (0..128).filter(|byte| ANYTHING.has(*byte) && holds(*byte)) {
        bits[usize::from(byte / 64)] |= 1 << (byte % 64);
    }
    Kind(bits)
}

impl Kind {
    #[inline]
    pub(super) fn has(self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6) & 1] >> (byte & 63) & 1 == 1
    }
}

impl Sequence {
    fn of(atoms: &[Atom]) -> Option<Self> {
        let Some((Atom::Byte(b'/'), atoms)) = atoms.split_first() else { return None };
        let (mut segments, mut current) = (vec![], Part::default());
        let (mut before, mut after) = (vec![], vec![]);
        for atom in atoms {
            match (*atom, current.run) {
                // What reaches over slashes takes the rest of the path.
                (Atom::Byte(b'/'), run) if !run.is_some_and(|run| run.kind.has(b'/')) => {
                    current.before = std::mem::take(&mut before).into();
                    current.after = std::mem::take(&mut after).into();
                    segments.push(std::mem::take(&mut current));
                }
                (Atom::Byte(byte), None) => before.push(byte),
                (Atom::Byte(byte), Some(_)) => after.push(byte),
                (Atom::Run(run), None) => current.run = Some(run),
                (Atom::Run(_), Some(_)) => return None,
            }
        }
        let rest = Part { before: before.into(), after: after.into(), ..current };
        let fits = segments.len() < MAX_SEGMENTS;
        fits.then(|| Self { segments: segments.into(), rest })
    }

    /// The segments that it must find.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key<'_>> {
        let segments = self.segments.iter().enumerate();
        let texts = segments.filter_map(|(place, part)| Some(Key { place, text: part.text()? }));
        let place = self.segments.len();
        let rest = self.rest.text().map(|text| Key { place, text });
        let slash = self.rest.after.iter().rposition(|byte| *byte == b'/');
        let last =
            slash.map(|slash| Key { place: MAX_SEGMENTS, text: &self.rest.after[slash + 1..] });
        texts.chain(rest).chain(last)
    }
}

impl Part {
    /// Itself, if nothing of it varies.
    pub(super) fn text(&self) -> Option<&[u8]> {
        (self.run.is_none() && !self.is_expression).then_some(&self.before)
    }
}
