//! Patterns of every kind, in one automaton whose states are made when a path first comes to them.

use super::{NotMatched, TooBig};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, Look};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

/// How many paths may be followed at once: each needs a memory of states of its own. More threads than that
/// wait for each other for as long as a path takes.
const MEMORIES: usize = 8;

/// What each of them remembers of the states that it has seen, if the automaton can do with that; a big one
/// needs some eight times its own size.
const MEMORY_BYTES: usize = 4 * 1024 * 1024;

/// What an automaton may take; policies from before there was a bound on the sum are taken as well.
const AUTOMATON_BYTES: usize = 256 * 1024 * 1024;

/// Expressions by their places.
#[derive(Debug)]
pub(super) struct Automaton {
    dfa: DFA,
    /// Made when they are first needed.
    memories: [Mutex<Option<Cache>>; MEMORIES],
}

impl Automaton {
    /// One that matches an expression from where it is asked to the path's end.
    pub(super) fn new(expressions: &[Hir]) -> Result<Self, TooBig> {
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(MEMORY_BYTES)
            .skip_cache_capacity_check(true)
            // A path is ASCII, of which such a boundary knows no more than another.
            .unicode_word_boundary(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa(expressions)?)?;
        Ok(Self { dfa, memories: Default::default() })
    }

    /// Calls `found` with each expression that all of the path from `begin` on matches.
    #[inline]
    pub(super) fn each(
        &self,
        path: &[u8],
        begin: usize,
        found: impl FnMut(usize),
    ) -> Result<(), NotMatched> {
        let first = of_this_thread();
        for attempt in 0..MEMORIES {
            match self.memories[(first + attempt) % MEMORIES].try_lock() {
                Ok(mut memory) => return self.walk(&mut memory, path, begin, found),
                Err(TryLockError::Poisoned(memory)) => {
                    return self.walk(&mut memory.into_inner(), path, begin, found);
                }
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let memory = self.memories[first % MEMORIES].lock();
        self.walk(&mut memory.unwrap_or_else(PoisonError::into_inner), path, begin, found)
    }

    fn walk(
        &self,
        memory: &mut Option<Cache>,
        path: &[u8],
        begin: usize,
        mut found: impl FnMut(usize),
    ) -> Result<(), NotMatched> {
        let dfa = &self.dfa;
        let memory = memory.get_or_insert_with(|| dfa.create_cache());
        // What stands before counts for a word's boundary.
        let start = Input::new(path).range(begin..).anchored(Anchored::Yes);
        let mut state = dfa.start_state_forward(memory, &start).map_err(|_| NotMatched)?;
        for byte in &path[begin..] {
            state = dfa.next_state(memory, state, *byte).map_err(|_| NotMatched)?;
            if state.is_dead() {
                return Ok(());
            }
        }
        if state.is_quit() {
            return Err(NotMatched);
        }
        let end = dfa.next_eoi_state(memory, state).map_err(|_| NotMatched)?;
        for index in 0..if end.is_match() { dfa.match_len(memory, end) } else { 0 } {
            found(dfa.match_pattern(memory, end, index).as_usize());
        }
        Ok(())
    }
}

/// The number of the memory that this thread tries first.
fn of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.with(|mine| {
        let number = mine.get().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        mine.set(Some(number));
        number
    })
}

/// What an expression takes in an automaton.
pub(super) fn bytes(expression: &Hir) -> usize {
    nfa(std::slice::from_ref(expression)).map_or(AUTOMATON_BYTES, |nfa| nfa.memory_usage())
}

fn nfa(expressions: &[Hir]) -> Result<NFA, TooBig> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(AUTOMATON_BYTES));
    let to_the_end = |hir: &Hir| Hir::concat(vec![hir.clone(), Hir::look(Look::End)]);
    let expressions: Vec<_> = expressions.iter().map(to_the_end).collect();
    Ok(thompson::Compiler::new().configure(config).build_many_from_hir(&expressions)?)
}
