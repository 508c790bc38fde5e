//! Compares what clients were told, what the journal holds and what the reference would have done.

use super::reference::{Reference, Verdict, item_of};
use super::run::{Answer, Call, Done, Run};
use crate::support::fingerprints;
use commands::bus::RequestKey;
use domain::RecordedEvent;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// How often each kind of thing happened, so that a test that tries nothing does not pass.
pub(crate) type Tally = std::collections::BTreeMap<&'static str, usize>;

/// Contention is not among them: the less of it the better.
const KINDS: [&str; 9] = [
    "appended",
    "appended to several aggregates",
    "appended while another aggregate was unchanged",
    "nothing to do",
    "rejected",
    "replayed",
    "replayed though there was nothing to do",
    "key reused",
    "done for a client that had left",
];

/// The kinds that never happened.
pub(crate) fn missing(tally: &Tally) -> Vec<&'static str> {
    KINDS.into_iter().filter(|kind| !tally.contains_key(kind)).collect()
}

/// First and last position of a command's events.
type Block = (u64, u64);

struct Checker<'a> {
    run: &'a Run,
    reference: Reference,
    /// By call.
    blocks: HashMap<Uuid, Block>,
    /// By key: the call that its outcome is of, and where that is kept to be. Where there was
    /// nothing to do, the first position is behind the last one, which was the head.
    firsts: HashMap<Uuid, (&'a Call, Block)>,
    violations: Vec<String>,
}

/// Every rule that the run breaks.
pub(crate) fn check(run: &Run, tally: &mut Tally) -> Vec<String> {
    let mut checker = Checker {
        run,
        reference: Reference::default(),
        blocks: HashMap::new(),
        firsts: HashMap::new(),
        violations: vec![],
    };
    checker.order();
    checker.commands();
    checker.keys();
    for call in &run.calls {
        match checker.answer(call) {
            Ok(kinds) => kinds.iter().for_each(|kind| *tally.entry(kind).or_default() += 1),
            Err(violation) => checker.violations.push(format!("{violation}: {call:?}")),
        }
    }
    checker.violations
}

impl<'a> Checker<'a> {
    /// One order without gaps, in every stream too, and each command's events side by side.
    fn order(&mut self) {
        let (mut ids, mut before, mut last_call) =
            (HashSet::new(), None::<&Arc<RecordedEvent>>, None);
        for (event, position) in self.run.events.iter().zip(1..) {
            let mut broken = vec![];
            if event.position.get() != position {
                broken.push(format!("position {} follows {}", event.position, position - 1));
            }
            if !ids.insert(event.event_id) {
                broken.push("an event id comes twice".to_owned());
            }
            if before.is_some_and(|before| event.recorded_at < before.recorded_at) {
                broken.push("recorded_at goes back".to_owned());
            }
            broken.extend(self.reference.apply(event).err());
            let metadata = event.metadata().expect("ours are readable");
            let call = metadata.causation_id.expect("calls have one");
            let block = self.blocks.entry(call).or_insert((position, position));
            if block.1 != position && last_call != Some(call) {
                broken.push(format!("call {call} is there twice, or in pieces"));
            }
            (block.1, last_call, before) = (position, Some(call), Some(event));
            self.violations.extend(broken.into_iter().map(|rule| format!("{rule}: {event:?}")));
        }
    }

    /// Every command in the journal is exactly what the reference decides on the events before it,
    /// whatever its client was told.
    fn commands(&mut self) {
        let calls: HashMap<Uuid, &Call> = self.run.calls.iter().map(|c| (c.id, c)).collect();
        for (id, (first, last)) in &self.blocks {
            let stored =
                self.run.events.iter().filter(|e| (*first..=*last).contains(&e.position.get()));
            let stored = stored
                .map(|e| (item_of(e), e.sequence, e.event_type.clone(), e.payload.clone()))
                .collect();
            let right = self.reference.verdict(&calls[id].asked, first - 1);
            if right != Verdict::Events(stored) {
                self.violations.push(format!(
                    "{first} to {last} were decided on a state that never was, right is \
                     {right:?}: {:?}",
                    calls[id]
                ));
            }
        }
    }

    /// One outcome a key, kept with its events; what had nothing to do keeps one as well.
    fn keys(&mut self) {
        for (key, fingerprint, first, last) in &self.run.outcomes {
            let kept = (first.cast_unsigned(), last.cast_unsigned());
            let Some(call) = self.call_of(*key, fingerprint, kept) else {
                self.violations.push(format!("{key} has {kept:?} and {fingerprint:?}, of no call"));
                continue;
            };
            if self.firsts.insert(*key, (call, kept)).is_some() {
                self.violations.push(format!("a key has two outcomes: {call:?}"));
            }
        }
        for call in self.run.calls.iter().filter(|call| self.blocks.contains_key(&call.id)) {
            let first = call.key.and_then(|key| self.firsts.get(&key.id));
            if call.key.is_some() && first.is_none_or(|(first, _)| first.id != call.id) {
                self.violations.push(format!("a key has lost its outcome: {call:?}"));
            }
        }
    }

    /// The call that an outcome is of. Nothing that is kept names it: its events do, and where it had
    /// none, it is the one that was told so. Else its client had left before; or its batch was sent twice, and it
    /// was told its own outcome as one of before. Of these the first to come may have met any state that the others
    /// met.
    fn call_of(&self, key: Uuid, fingerprint: &[u8], kept: Block) -> Option<&'a Call> {
        let own = self.run.calls.iter().filter(|call| {
            call.key.is_some_and(|own| {
                let request = RequestKey { key: own.id, fingerprint: own.fingerprint() };
                own.id == key && fingerprints().of(&request)[..] == *fingerprint
            })
        });
        let block = |call: &Call| self.blocks.get(&call.id).copied();
        if kept.0 <= kept.1 {
            return own.into_iter().find(|call| block(call) == Some(kept));
        }
        let own: Vec<_> = own.filter(|call| block(call).is_none()).collect();
        let told = |call: &&&Call| matches!(&call.answer, Answer::Done(done) if !done.replayed);
        let untold = |answer: &Answer| match answer {
            Answer::Done(done) => done.replayed,
            other => matches!(other, Answer::Dropped),
        };
        let left = own.iter().filter(|call| untold(&call.answer));
        let left = left.min_by_key(|call| call.called);
        own.iter().find(told).or(left).copied().filter(|_| kept.0 == kept.1 + 1)
    }

    /// What kind of call it was, or what is wrong with its answer.
    fn answer(&self, call: &Call) -> Result<Vec<&'static str>, String> {
        let block = self.blocks.get(&call.id).copied();
        let recorded = call.key.and_then(|key| self.firsts.get(&key.id)).copied();
        // A refusal took place before its key had an outcome.
        let until = recorded.map_or(u64::MAX, |(_, (first, _))| first - 1).min(call.answered);
        if matches!(&call.answer, Answer::Done(done) if !done.replayed && done.positions != block) {
            return Err(format!("its events are at {block:?}"));
        }
        match &call.answer {
            Answer::Done(done) if done.replayed => {
                let (first, block) = recorded.ok_or("the outcome of a key that nobody used")?;
                if first.key != call.key || block.1 > call.answered {
                    return Err(format!(
                        "the outcome of another body, or of the future: {first:?}"
                    ));
                }
                if block.0 > block.1 {
                    self.nothing(first, done, block.1)?;
                    return Ok(vec!["replayed", "replayed though there was nothing to do"]);
                }
                self.appended(first, done, block).map(|()| vec!["replayed"])
            }
            Answer::Done(done) => match block {
                Some(block) if block.0 <= call.called || block.1 > call.answered => {
                    Err(format!("done at {block:?}, which is not during the call"))
                }
                Some(block) => self.appended(call, done, block).map(|()| kinds(call)),
                None if !(call.called..=until).contains(&done.position) => {
                    Err(format!("a position that was not the head before {until}: {recorded:?}"))
                }
                None if call.key.is_some() && recorded.is_none_or(|(c, _)| c.id != call.id) => {
                    Err(format!("it had nothing to do, and its key keeps {recorded:?}"))
                }
                None => self.nothing(call, done, done.position).map(|()| vec!["nothing to do"]),
            },
            Answer::Rejected(refusals) if block.is_none() => {
                self.at_some_time(call, until, "rejected", |at| {
                    matches!(self.reference.verdict(&call.asked, at),
                             Verdict::Refused(right) if right == *refusals)
                })
            }
            Answer::KeyReused if block.is_none() => match recorded {
                Some((first, block)) if first.key != call.key && block.1 <= call.answered => {
                    Ok(vec!["key reused"])
                }
                other => Err(format!("the key was not used otherwise: {other:?}")),
            },
            Answer::Contended if block.is_none() && !call.calm => Ok(vec!["contended"]),
            Answer::Dropped if block.is_some() => Ok(vec!["done for a client that had left"]),
            Answer::Dropped => Ok(vec!["not done for a client that had left"]),
            Answer::Failed(error) => Err(format!("nobody should hear {error}")),
            Answer::Rejected(_) | Answer::KeyReused | Answer::Contended => {
                Err(format!("no such answer is right; its events are at {block:?}"))
            }
        }
    }

    /// The answer tells the outcome of `call`, now or again.
    fn appended(&self, call: &Call, done: &Done, block: Block) -> Result<(), String> {
        if done.positions != Some(block) || done.position != block.1 {
            return Err(format!("its events are at {block:?}"));
        }
        self.states(call, done, block.1)
    }

    /// The answer tells that `call` had nothing to do, now or again, and that `head` was the head.
    fn nothing(&self, call: &Call, done: &Done, head: u64) -> Result<(), String> {
        if done.positions.is_some() || done.position != head {
            return Err(format!("it has no events, and the head was {head}"));
        }
        let right = |at| {
            self.reference.verdict(&call.asked, at) == Verdict::Events(vec![])
                && self.states(call, done, at).is_ok()
        };
        self.at_some_time(call, head, "nothing to do", right).map(drop)
    }

    /// A call without events takes place at any one moment from its beginning to `until`.
    fn at_some_time(
        &self,
        call: &Call,
        until: u64,
        kind: &'static str,
        right: impl Fn(u64) -> bool,
    ) -> Result<Vec<&'static str>, String> {
        let found = (call.called..=until).any(right);
        if found {
            Ok(vec![kind])
        } else {
            Err(format!("{kind:?} was right at no time until {until}"))
        }
    }

    /// The states of the answer are those right after `position`.
    fn states(&self, call: &Call, done: &Done, position: u64) -> Result<(), String> {
        for ((item, ..), after) in call.asked.steps.iter().zip(&done.after) {
            let right = self.reference.at(*item, position);
            if right != *after {
                return Err(format!("right after {position} is {right:?}"));
            }
        }
        Ok(())
    }
}

fn kinds(call: &Call) -> Vec<&'static str> {
    let items: HashSet<usize> = call.asked.steps.iter().map(|(item, ..)| *item).collect();
    let several = (items.len() > 1).then_some("appended to several aggregates");
    let watched = !call.asked.unchanged.is_empty();
    let watched = watched.then_some("appended while another aggregate was unchanged");
    ["appended"].into_iter().chain(several).chain(watched).collect()
}
