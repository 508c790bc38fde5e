use super::Bus;
use super::cache::Slot;
use super::keys::outcome_text;
use super::load::{AnyState, LoadError, Loaded};
use super::plan::{Plan, place};
use super::snapshots::Due;
use crate::journal::{
    AcknowledgedKey, Append, AppendError, Appended, Expectation, NewEvent, Pending, Turn,
};
use crate::vault::VaultError;
use cqrs_es::Aggregate;
use domain::{EventTypes, Facts, Identified, Position, Rejection, StreamKey, Timestamp};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// How often a plan is decided before its caller hears that the aggregate is too contended: the first
/// time, and then in turns in which nobody else appends, so that a second one is seldom needed.
const MAX_ATTEMPTS: u32 = 4;

/// How long finding out what has changed may take.
pub(super) const LOOK_PATIENCE: Duration = Duration::from_secs(5);

/// What became of a plan, now or when its key was first used.
pub struct Executed {
    /// True when the key's first outcome was found and nothing was done now.
    pub replayed: bool,
    /// Positions of the first and last event; none when there was nothing to do.
    pub positions: Option<(Position, Position)>,
    /// The position to wait for before a read shows the outcome.
    pub position: Position,
    /// When its events were recorded; none when there was nothing to do.
    pub recorded_at: Option<Timestamp>,
    pub(super) states: Vec<AnyState>,
}

impl Executed {
    /// The state of the aggregate of step `step` (counted from 0) right after the plan.
    ///
    /// # Panics
    /// When the plan's step is of another aggregate, which the first test of a route shows.
    #[must_use]
    pub fn state<A: Aggregate + 'static>(&self, step: usize) -> &A {
        self.states[step].state.downcast_ref().expect("the step's own aggregate type is asked for")
    }

    /// State and version of the aggregate of step `step` right after the plan.
    ///
    /// # Panics
    /// As [`Executed::state`].
    #[must_use]
    pub fn loaded<A: Aggregate + Clone + 'static>(&self, step: usize) -> Loaded<A> {
        self.states[step].typed()
    }

    /// The version of the aggregate of step `step` right after the plan.
    #[must_use]
    pub fn version(&self, step: usize) -> u64 {
        self.states[step].sequence
    }
}

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The rules forbid it. One rejection a refused step, in the order of the steps, then one
    /// a limit that is reached; never empty.
    #[error("refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rejected(Vec<Box<dyn Rejection>>),
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// Others kept changing the same aggregates. Trying again later is right.
    #[error("too many others are changing the same thing")]
    Contended,
    /// The writer could not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// State could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Personal data could not be sealed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A decision that is on its way.
struct Decision {
    pending: Pending,
    verdict: Result<Vec<AnyState>, Vec<Box<dyn Rejection>>>,
    touched: Vec<(StreamKey, u64)>,
    /// Snapshots to take as soon as the decision is durable.
    due: Vec<Due>,
}

impl Bus {
    /// Carries the plan out, or says why not. The caller may be dropped at any time: from the
    /// hand-over on the command belongs to the writer.
    ///
    /// # Errors
    /// [`ExecuteError`].
    pub async fn execute(&self, plan: Plan) -> Result<Executed, ExecuteError> {
        for attempt in 1..=MAX_ATTEMPTS {
            // Who was overtaken once may be again and again, by whoever has the newest state in memory.
            let turn = if attempt > 1 { self.journal.turn().await } else { None };
            let decision = match self.decide(&plan, turn).await {
                // What cannot be stored is refused before the writer sees it; its key may be known.
                Err(error @ ExecuteError::Append(AppendError::Unstorable(_))) => {
                    return self.refuse(plan).await?.ok_or(error);
                }
                decision => decision?,
            };
            let outcome = decision.pending.outcome().await;
            if !matches!(outcome, Ok(Appended::Done { .. })) {
                for (stream, generation) in &decision.touched {
                    self.cache.forget(stream, *generation).await;
                }
                self.forget_unchanged(&plan).await;
            }
            match outcome? {
                Appended::Done { positions, head, recorded_at } => {
                    decision.due.into_iter().for_each(|due| self.loader.snapshots.ask(due));
                    if let (Some(key), Some(positions)) = (plan.key, positions) {
                        self.journal.acknowledge(AcknowledgedKey { key: key.key, positions });
                    }
                    return Ok(Executed {
                        replayed: false,
                        positions,
                        position: positions.map_or(head, |(_, last)| last),
                        recorded_at: recorded_at.map(Timestamp::from),
                        states: decision.verdict.map_err(ExecuteError::Rejected)?,
                    });
                }
                Appended::Replay(first) => return self.replay(&plan, first).await,
                // What the plan itself was made on has changed: only its maker can make it again.
                Appended::Conflict if !self.is_unchanged(&plan).await? => break,
                Appended::Conflict if attempt < MAX_ATTEMPTS => {
                    self.counters.retried.fetch_add(1, Relaxed);
                }
                Appended::Conflict => {}
            }
        }
        self.counters.contended.fetch_add(1, Relaxed);
        Err(ExecuteError::Contended)
    }

    pub(super) async fn forget_unchanged(&self, plan: &Plan) {
        for (stream, head) in &plan.unchanged {
            self.cache.forget_head(stream, *head).await;
        }
    }

    /// Whether what the plan was made on, and does not change, still is as it was: else somebody was
    /// faster with what it does change.
    async fn is_unchanged(&self, plan: &Plan) -> Result<bool, LoadError> {
        if plan.unchanged.is_empty() {
            return Ok(true);
        }
        let streams = plan.unchanged.iter().map(|(stream, _)| stream);
        let asked = sqlx::query_scalar(
            "select bool_and(h.event_id is not distinct from c.head) \
             from unnest($1::text[], $2::text[], $3::uuid[]) c(type, id, head) \
             left join lateral (select e.event_id from events e \
                                where e.aggregate_type = c.type and e.aggregate_id = c.id \
                                order by e.sequence desc limit 1) h on true",
        )
        .bind(streams.clone().map(|stream| stream.aggregate_type).collect::<Vec<_>>())
        .bind(streams.map(|stream| stream.aggregate_id.as_str()).collect::<Vec<_>>())
        .bind(plan.unchanged.iter().map(|(_, head)| *head).collect::<Vec<_>>())
        .fetch_one(self.journal.pool());
        let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        Ok(tokio::time::timeout(LOOK_PATIENCE, asked).await.unwrap_or_else(|_| late())?)
    }

    /// The aggregate as the journal has it now, past any cache of this process.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load<A>(&self, id: &A::Id) -> Result<Loaded<A>, LoadError>
    where
        A: Identified<Event: EventTypes> + Clone + 'static,
    {
        self.loader.load(&id.to_string(), None).await
    }

    /// The newest state that this process knows, loaded if it knows none. It may be speculative or
    /// out of date: good for making a plan, which the journal then checks, and for nothing else.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn peek<A>(&self, id: &A::Id) -> Result<Loaded<A>, LoadError>
    where
        A: Identified<Event: EventTypes> + Clone + 'static,
    {
        let stream = StreamKey::of::<A>(id);
        let mut slot = self.cache.lock(&stream).await;
        if let Some(known) = &slot.known {
            self.counters.hits.fetch_add(1, Relaxed);
            return Ok(known.typed());
        }
        self.counters.misses.fetch_add(1, Relaxed);
        let loaded = self.loader.load::<A>(&stream.aggregate_id, None).await?;
        slot.known = Some(AnyState::new(loaded.clone()));
        Ok(loaded)
    }

    /// Steps 1 to 3 of the protocol. From the hand-over to the unlocking nothing waits.
    async fn decide(&self, plan: &Plan, turn: Option<Turn>) -> Result<Decision, ExecuteError> {
        let place_in_queue = self.journal.place().await?;
        let mut slots = self.lock(plan, turn.as_ref()).await?;
        let facts = Facts { now: self.journal.clock().now() };

        let mut expectations: Vec<Expectation> = slots
            .iter()
            .map(|(stream, slot)| Expectation::Head { stream: stream.clone(), head: head_of(slot) })
            .collect();
        expectations.extend(unchanged(plan));
        let (untagged, refusals) = self.count_tags(plan).await?;
        expectations.extend(untagged);
        let touched: Vec<(StreamKey, u64)> =
            slots.iter().map(|(stream, slot)| (stream.clone(), slot.generation)).collect();

        let (verdict, newest, events) = self.decide_steps(plan, &slots, &facts, refusals)?;
        // A refusal goes through the writer as well, which knows whether it was made on a state
        // that holds; under its key nothing is kept.
        let outcome = verdict.is_ok().then(|| outcome_text(&newest));
        let keyed = plan.key.map(|key| self.keyed(key, outcome));
        // What is decided on a decision of a turn goes with it: others of the turn may build on both.
        let number = slots.values().map(|slot| slot.turn).max().filter(|number| *number > 0);
        let pending =
            place_in_queue.hand_over_in(Append { expectations, events, keyed }, number)?;
        drop(turn);
        let mut due = vec![];
        if verdict.is_ok() {
            for (stream, state) in newest {
                if let Some(slot) = slots.get_mut(&stream) {
                    let before = slot.known.as_ref().map_or(0, |known| known.sequence);
                    if self.loader.snapshots.is_due(before, state.sequence) {
                        due.push(Due { stream, state: state.clone() });
                    }
                    slot.known = Some(state);
                }
            }
        }
        Ok(Decision { pending, verdict, touched, due })
    }

    /// Locks every touched stream in the order of the keys, which is the same in every task, and
    /// sees to it that each has a state.
    async fn lock(
        &self,
        plan: &Plan,
        turn: Option<&Turn>,
    ) -> Result<BTreeMap<StreamKey, OwnedMutexGuard<Slot>>, LoadError> {
        let mut steps: Vec<_> = plan.steps.iter().collect();
        steps.sort_by(|a, b| a.stream().cmp(b.stream()));
        let mut slots = BTreeMap::new();
        for step in steps {
            if slots.contains_key(step.stream()) {
                continue;
            }
            let mut slot = self.cache.lock(step.stream()).await;
            // In a turn the journal is asked, for what is in memory may be overtaken, or ahead.
            if let Some(turn) = turn.map(Turn::number)
                && slot.turn != turn
            {
                (slot.known, slot.turn) = (None, turn);
                slot.generation += 1;
            }
            if slot.known.is_none() {
                self.counters.misses.fetch_add(1, Relaxed);
                slot.known = Some(step.load(&self.loader, None).await?);
            } else {
                self.counters.hits.fetch_add(1, Relaxed);
            }
            slots.insert(step.stream().clone(), slot);
        }
        Ok(slots)
    }

    #[expect(
        clippy::type_complexity,
        reason = "three results of one pass, named where it is called"
    )]
    fn decide_steps(
        &self,
        plan: &Plan,
        slots: &BTreeMap<StreamKey, OwnedMutexGuard<Slot>>,
        facts: &Facts,
        refusals: Vec<Box<dyn Rejection>>,
    ) -> Result<
        (
            Result<Vec<AnyState>, Vec<Box<dyn Rejection>>>,
            BTreeMap<StreamKey, AnyState>,
            Vec<NewEvent>,
        ),
        AppendError,
    > {
        let mut newest: BTreeMap<StreamKey, AnyState> = slots
            .iter()
            .filter_map(|(stream, slot)| Some((stream.clone(), slot.known.clone()?)))
            .collect();
        let mut events: Vec<NewEvent> = vec![];
        let mut rejections = vec![];
        for step in &plan.steps {
            let stream = step.stream();
            let Some(seen) = newest.get(stream).cloned() else { continue };
            match step.decide(&seen, facts) {
                Ok(decided) => {
                    let mut after = AnyState { state: decided.state, ..seen };
                    for form in decided.events {
                        let event_id = (self.world.new_id)();
                        after.sequence += 1;
                        after.head = Some(event_id);
                        events.push(place(stream, after.sequence, form, plan, event_id)?);
                    }
                    newest.insert(stream.clone(), after);
                }
                Err(rejection) => rejections.push(rejection),
            }
        }
        rejections.extend(refusals);
        Ok(if rejections.is_empty() {
            let states = plan.steps.iter().filter_map(|step| newest.get(step.stream()).cloned());
            (Ok(states.collect()), newest, events)
        } else {
            // All or nothing: what the other steps decided is dropped.
            (Err(rejections), newest, vec![])
        })
    }
}

/// What the plan expects to be unchanged.
pub(super) fn unchanged(plan: &Plan) -> impl Iterator<Item = Expectation> {
    let unchanged = plan.unchanged.iter();
    unchanged.map(|(stream, head)| Expectation::Head { stream: stream.clone(), head: *head })
}

fn head_of(slot: &Slot) -> Option<Uuid> {
    slot.known.as_ref().and_then(|known| known.head)
}
