//! What a pattern says about all paths of one shape at once: about none, some or all of them.
//!
//! Asking for samples does not do: a pattern may tell one id from another, and the next id is not known
//! yet. So both are taken as automata, and all paths are walked in both at the same time.

use super::MAX_PATH_CHARS;
use super::pattern::{anchored, syntax};
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input, MatchKind};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// One segment of a canonical path: neither `.` nor `..`.
const SEGMENT: &str = "(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\
                       [.][A-Za-z0-9_~-][A-Za-z0-9._~-]*|\
                       [.][.][A-Za-z0-9._~-]+)";

/// The name of a role.
const ROLE: &str = "[A-Za-z0-9_-]{1,64}";

/// An id as our routes take it.
const ID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

/// What stands in a canonical path.
const ALPHABET: &[u8] = b"/-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What an automaton may take to compile.
const AUTOMATON_BYTES: usize = 1024 * 1024;

/// What an automaton may remember of the states that it has seen.
const STATES_BYTES: usize = 2 * 1024 * 1024;

/// How many pairs of states are looked at before the answer is [`Overlap::UNKNOWN`].
const MAX_PAIRS: usize = 5_000;

/// What beginning to compare is worth, in steps.
const COMPARISON_STEPS: usize = 100;

/// Paths of one shape, and what is known of its automaton: it is compared with many patterns.
#[derive(Debug)]
pub struct PathShape(Option<(DFA, Mutex<Cache>)>);

/// How much of a shape a pattern matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// It matches at least one of its paths, or may.
    pub some: bool,
    /// It matches every one of its paths, for certain.
    pub all: bool,
}

impl Overlap {
    /// The answer for a pattern that is too involved to be sure: one that is used to refuse would
    /// refuse, and one that is used to let through would not.
    const UNKNOWN: Self = Self { some: true, all: false };
}

impl PathShape {
    /// Every canonical path.
    #[must_use]
    pub fn any() -> Self {
        Self::of(&format!("/|(?:/{SEGMENT})+"))
    }

    /// What a route answers: `{name}` is any segment and `{*name}` one or more.
    #[must_use]
    pub fn of_route(template: &str) -> Self {
        Self::parse(template, SEGMENT)
    }

    /// The same where `{role}` is the name of a role, and every other `{name}` an id.
    #[must_use]
    pub fn with_ids(template: &str) -> Self {
        Self::parse(template, ID)
    }

    fn of(pattern: &str) -> Self {
        let compiled = automaton(pattern).ok();
        Self(compiled.map(|dfa| {
            let cache = Mutex::new(dfa.create_cache());
            (dfa, cache)
        }))
    }

    fn parse(template: &str, parameter: &str) -> Self {
        let mut shape = String::new();
        for (index, part) in template.split('/').enumerate() {
            let slash = if index == 0 { "" } else { "/" };
            if part.starts_with("{*") {
                shape.push_str(&format!("(?:/{SEGMENT})+"));
            } else if part.starts_with('{') {
                shape.push_str(slash);
                shape.push_str(if part == "{role}" { ROLE } else { parameter });
            } else {
                shape.push_str(slash);
                shape.push_str(&regex::escape(part));
            }
        }
        Self::of(&shape)
    }
}

/// A pattern that can be compared with shapes.
struct Comparable(Option<(DFA, Cache)>);

impl Comparable {
    /// An accepted pattern.
    fn new(pattern: &str) -> Self {
        let compiled = automaton(pattern).ok();
        Self(compiled.map(|dfa| {
            let cache = dfa.create_cache();
            (dfa, cache)
        }))
    }

    /// How much of the shape it matches.
    fn overlap(&mut self, shape: &PathShape, steps: &mut Steps) -> Overlap {
        let (Some((dfa, cache)), Some((shape, shape_cache))) = (&mut self.0, &shape.0) else {
            return Overlap::UNKNOWN;
        };
        let mut shape_cache = shape_cache.lock().unwrap_or_else(PoisonError::into_inner);
        let mut walk = Walk { dfa, cache, shape, shape_cache: &mut shape_cache };
        if !steps.take(COMPARISON_STEPS) {
            return Overlap::UNKNOWN;
        }
        walk.overlap(steps).unwrap_or(Overlap::UNKNOWN)
    }
}

/// How much of each shape an accepted pattern matches.
#[must_use]
pub fn overlaps<'a>(
    pattern: &str,
    shapes: impl IntoIterator<Item = &'a PathShape>,
) -> Vec<Overlap> {
    overlaps_within(pattern, shapes, &mut Steps(usize::MAX))
}

/// The same within some steps; what they do not suffice for is [`Overlap::UNKNOWN`].
pub(super) fn overlaps_within<'a>(
    pattern: &str,
    shapes: impl IntoIterator<Item = &'a PathShape>,
    steps: &mut Steps,
) -> Vec<Overlap> {
    let mut pattern = Comparable::new(pattern);
    shapes.into_iter().map(|shape| pattern.overlap(shape, steps)).collect()
}

/// How many steps comparisons may still take.
pub(super) struct Steps(pub(super) usize);

impl Steps {
    fn take(&mut self, steps: usize) -> bool {
        self.0 = self.0.saturating_sub(steps);
        self.0 > 0
    }

    /// Whether there were not enough of them.
    pub(super) fn are_used_up(&self) -> bool {
        self.0 == 0
    }
}

fn automaton(pattern: &str) -> Result<DFA, Box<dyn std::error::Error>> {
    let config = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(STATES_BYTES)
        // States are kept, or it is an error: we hold on to them.
        .minimum_cache_clear_count(Some(0));
    let dfa = DFA::builder()
        .configure(config)
        .syntax(syntax())
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(AUTOMATON_BYTES)))
        .build(&anchored(pattern))?;
    Ok(dfa)
}

/// Too many states.
struct GivenUp;

struct Walk<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
    shape: &'a DFA,
    shape_cache: &'a mut Cache,
}

impl Walk<'_> {
    /// All pairs of states that one path leads to, by the length of the path.
    fn overlap(&mut self, steps: &mut Steps) -> Result<Overlap, GivenUp> {
        let representatives = self.representatives();
        let start = Input::new("").anchored(Anchored::Yes);
        let mine = self.dfa.start_state_forward(self.cache, &start).map_err(|_| GivenUp)?;
        let shapes = self.shape.start_state_forward(self.shape_cache, &start);
        let start = (mine, shapes.map_err(|_| GivenUp)?);
        let mut seen = HashSet::from([start]);
        let mut level = vec![start];
        let (mut some, mut all) = (false, true);
        // A path has at most so many characters; a walk without a circle ends by itself.
        for _ in 0..=MAX_PATH_CHARS {
            let mut next = vec![];
            for (mine, shapes) in level {
                if self.ends(shapes, End::Shape)? {
                    let ends = !mine.is_dead() && self.ends(mine, End::Pattern)?;
                    (some, all) = (some || ends, all && ends);
                }
                for byte in &representatives {
                    let pair = self.step(mine, shapes, *byte)?;
                    // Every live state of a shape leads to one of its paths.
                    if pair.1.is_dead() {
                        continue;
                    }
                    all &= !pair.0.is_dead();
                    if !pair.0.is_dead() && seen.insert(pair) {
                        if !steps.take(1) {
                            return Err(GivenUp);
                        }
                        next.push(pair);
                    }
                }
                if some && !all {
                    return Ok(Overlap { some, all });
                }
                if seen.len() > MAX_PAIRS {
                    return Err(GivenUp);
                }
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        Ok(Overlap { some, all: some && all })
    }

    /// Characters that no state of either automaton tells apart are looked at once.
    fn representatives(&self) -> Vec<u8> {
        let (mine, shapes) = (self.dfa.byte_classes(), self.shape.byte_classes());
        let mut classes = HashSet::new();
        let distinct = |byte: &&u8| classes.insert((mine.get(**byte), shapes.get(**byte)));
        ALPHABET.iter().filter(distinct).copied().collect()
    }

    fn step(
        &mut self,
        mine: LazyStateID,
        shapes: LazyStateID,
        byte: u8,
    ) -> Result<(LazyStateID, LazyStateID), GivenUp> {
        let shapes = self.shape.next_state(self.shape_cache, shapes, byte).map_err(|_| GivenUp)?;
        let mine = self.dfa.next_state(self.cache, mine, byte).map_err(|_| GivenUp)?;
        if mine.is_quit() || shapes.is_quit() { Err(GivenUp) } else { Ok((mine, shapes)) }
    }

    /// Whether a path may end here.
    fn ends(&mut self, state: LazyStateID, of: End) -> Result<bool, GivenUp> {
        let end = match of {
            End::Pattern => self.dfa.next_eoi_state(self.cache, state),
            End::Shape => self.shape.next_eoi_state(self.shape_cache, state),
        };
        end.map(|state| state.is_match()).map_err(|_| GivenUp)
    }
}

/// Whose end.
#[derive(Clone, Copy)]
enum End {
    Pattern,
    Shape,
}
