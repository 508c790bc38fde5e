use super::Bus;
use super::cache::Slot;
use super::load::{AnyState, LoadError, Loaded};
use super::plan::{Plan, RequestKey, place};
use super::snapshots::Due;
use crate::journal::{
    AcknowledgedKey, Append, AppendError, Appended, Expectation, Keyed, NewEvent, Pending,
};
use crate::vault::VaultError;
use cqrs_es::Aggregate;
use domain::{EventTypes, Facts, Rejection, StreamKey, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// How often a plan is decided before its caller hears that the aggregate is too contended: the
/// first time and three times more.
const MAX_ATTEMPTS: u32 = 4;

/// The longest pause before deciding again; the actual one is a random part of it, so that two
/// processes that collided do not collide again.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// What became of a plan, now or when its key was first used.
pub struct Executed {
    /// True when the key's first outcome was found and nothing was done now.
    pub replayed: bool,
    /// Positions of the first and last event; none when there was nothing to do.
    pub positions: Option<(u64, u64)>,
    /// The position to wait for before a read shows the outcome.
    pub position: u64,
    /// When its events were recorded; none when there was nothing to do.
    pub recorded_at: Option<Timestamp>,
    /// The ids that were recorded with the plan's key, or that the plan brought.
    pub ids: Value,
    states: Vec<AnyState>,
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

/// The recorded outcome of a key that was used before.
pub struct Recorded {
    /// The ids that were recorded with it.
    pub ids: Value,
    /// The versions of the aggregates right after it.
    pub versions: Versions,
    /// The position of its last event.
    pub position: u64,
    /// When its events were recorded.
    pub recorded_at: Timestamp,
}

/// Versions by stream.
pub struct Versions(BTreeMap<String, u64>);

/// Why a plan was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The rules forbid it. One rejection a refused step, in the order of the steps; never empty.
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

/// What is recorded under a key beside the positions.
#[derive(Serialize, Deserialize)]
struct Outcome {
    ids: Value,
    /// Version by stream, as it was right after the plan.
    versions: BTreeMap<String, u64>,
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
            let decision = self.decide(&plan).await?;
            let outcome = decision.pending.outcome().await;
            if !matches!(outcome, Ok(Appended::Done { .. })) {
                for (stream, generation) in &decision.touched {
                    self.cache.forget(stream, *generation).await;
                }
                for (stream, head) in &plan.unchanged {
                    self.cache.forget_head(stream, *head).await;
                }
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
                        ids: plan.ids,
                        states: decision.verdict.map_err(ExecuteError::Rejected)?,
                    });
                }
                Appended::Replay { positions, head, fingerprint, outcome, recorded_at } => {
                    if plan
                        .key
                        .zip(fingerprint)
                        .is_some_and(|(key, first)| key.fingerprint != first)
                    {
                        return Err(ExecuteError::KeyReused);
                    }
                    let outcome = parse_outcome(&outcome)?;
                    return Ok(Executed {
                        replayed: true,
                        positions,
                        position: head,
                        recorded_at: Some(recorded_at.into()),
                        states: self.states_at(&plan, &outcome.versions).await?,
                        ids: outcome.ids,
                    });
                }
                // What the plan itself was made on may be what has changed: only its maker can
                // make it again.
                Appended::Conflict if !plan.unchanged.is_empty() => break,
                Appended::Conflict if attempt < MAX_ATTEMPTS => {
                    self.counters.retried.fetch_add(1, Relaxed);
                    let random = (self.world.new_id)().as_bytes()[15];
                    tokio::time::sleep(MAX_PAUSE * u32::from(random) / 256).await;
                }
                Appended::Conflict => {}
            }
        }
        self.counters.contended.fetch_add(1, Relaxed);
        Err(ExecuteError::Contended)
    }

    /// The aggregate as the journal has it now, past any cache of this process.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load<A>(&self, id: &str) -> Result<Loaded<A>, LoadError>
    where
        A: Aggregate<Event: EventTypes> + Clone + 'static,
    {
        self.loader.load(id, None).await
    }

    /// The newest state that this process knows, loaded if it knows none. It may be speculative or
    /// out of date: good for making a plan, which the journal then checks, and for nothing else.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn peek<A>(&self, id: &str) -> Result<Loaded<A>, LoadError>
    where
        A: Aggregate<Event: EventTypes> + Clone + 'static,
    {
        let stream = StreamKey { aggregate_type: A::TYPE, aggregate_id: id.to_owned() };
        let mut slot = self.cache.lock(&stream).await;
        if let Some(known) = &slot.known {
            self.counters.hits.fetch_add(1, Relaxed);
            return Ok(known.typed());
        }
        self.counters.misses.fetch_add(1, Relaxed);
        let loaded = self.loader.load::<A>(id, None).await?;
        slot.known = Some(AnyState::new(loaded.clone()));
        Ok(loaded)
    }

    /// What was recorded under `key`, if it has been used. For requests whose plan cannot even be
    /// made any more once they are done (a cart that is empty by now).
    ///
    /// # Errors
    /// [`ExecuteError::KeyReused`], or that the journal could not be read.
    pub async fn recorded(&self, key: RequestKey) -> Result<Option<Recorded>, ExecuteError> {
        let row = sqlx::query(
            "select fingerprint, outcome, last_position, recorded_at from command_outcomes where key = $1",
        )
        .bind(key.key)
        .fetch_optional(self.journal.pool())
        .await
        .map_err(LoadError::from)?;
        let Some(row) = row else { return Ok(None) };
        let fingerprint: Vec<u8> = row.try_get("fingerprint").map_err(LoadError::from)?;
        if fingerprint != key.fingerprint {
            return Err(ExecuteError::KeyReused);
        }
        let outcome: String = row.try_get("outcome").map_err(LoadError::from)?;
        let position: i64 = row.try_get("last_position").map_err(LoadError::from)?;
        let recorded_at: time::OffsetDateTime =
            row.try_get("recorded_at").map_err(LoadError::from)?;
        let outcome = parse_outcome(&outcome)?;
        Ok(Some(Recorded {
            ids: outcome.ids,
            versions: Versions(outcome.versions),
            position: u64::try_from(position).unwrap_or(0),
            recorded_at: recorded_at.into(),
        }))
    }

    /// The aggregate as it was at the version that `versions` holds for it.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load_at<A>(&self, id: &str, versions: &Versions) -> Result<Loaded<A>, LoadError>
    where
        A: Aggregate<Event: EventTypes> + Clone + 'static,
    {
        let stream = StreamKey { aggregate_type: A::TYPE, aggregate_id: id.to_owned() };
        self.loader.load(id, versions.0.get(&stream.to_string()).copied()).await
    }

    /// Steps 1 to 3 of the protocol. From the hand-over to the unlocking nothing waits.
    async fn decide(&self, plan: &Plan) -> Result<Decision, ExecuteError> {
        let place_in_queue = self.journal.place().await?;
        let mut slots = self.lock(plan).await?;
        let facts = Facts { now: (self.world.now)() };

        let mut expectations: Vec<Expectation> = slots
            .iter()
            .map(|(stream, slot)| Expectation { stream: stream.clone(), head: head_of(slot) })
            .collect();
        expectations.extend(
            plan.unchanged
                .iter()
                .map(|(stream, head)| Expectation { stream: stream.clone(), head: *head }),
        );
        let touched: Vec<(StreamKey, u64)> =
            slots.iter().map(|(stream, slot)| (stream.clone(), slot.generation)).collect();

        let (verdict, newest, events) = self.decide_steps(plan, &slots, &facts);
        let keyed = plan.key.map(|key| Keyed {
            key: key.key,
            fingerprint: key.fingerprint,
            outcome: verdict.is_ok().then(|| outcome_text(plan, &newest)),
        });
        let pending = place_in_queue.hand_over(Append { expectations, events, keyed })?;
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
    ) -> Result<BTreeMap<StreamKey, OwnedMutexGuard<Slot>>, LoadError> {
        let mut steps: Vec<_> = plan.steps.iter().collect();
        steps.sort_by(|a, b| a.stream().cmp(b.stream()));
        let mut slots = BTreeMap::new();
        for step in steps {
            if slots.contains_key(step.stream()) {
                continue;
            }
            let mut slot = self.cache.lock(step.stream()).await;
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
    ) -> (
        Result<Vec<AnyState>, Vec<Box<dyn Rejection>>>,
        BTreeMap<StreamKey, AnyState>,
        Vec<NewEvent>,
    ) {
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
                        events.push(place(stream, after.sequence, form, &plan.context, event_id));
                    }
                    newest.insert(stream.clone(), after);
                }
                Err(rejection) => rejections.push(rejection),
            }
        }
        if rejections.is_empty() {
            let states = plan.steps.iter().filter_map(|step| newest.get(step.stream()).cloned());
            (Ok(states.collect()), newest, events)
        } else {
            // All or nothing: what the other steps decided is dropped. The refusal itself still
            // goes through the writer, which knows whether it was made on a state that holds.
            (Err(rejections), newest, vec![])
        }
    }

    async fn states_at(
        &self,
        plan: &Plan,
        versions: &BTreeMap<String, u64>,
    ) -> Result<Vec<AnyState>, LoadError> {
        let mut states = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let version = versions.get(&step.stream().to_string()).copied();
            states.push(step.load(&self.loader, version).await?);
        }
        Ok(states)
    }
}

fn head_of(slot: &Slot) -> Option<Uuid> {
    slot.known.as_ref().and_then(|known| known.head)
}

fn outcome_text(plan: &Plan, newest: &BTreeMap<StreamKey, AnyState>) -> String {
    let versions =
        newest.iter().map(|(stream, state)| (stream.to_string(), state.sequence)).collect();
    let outcome = Outcome { ids: plan.ids.clone(), versions };
    serde_json::to_string(&outcome).expect("ids and versions are plain data")
}

fn parse_outcome(text: &str) -> Result<Outcome, ExecuteError> {
    serde_json::from_str(text).map_err(|_| {
        ExecuteError::Append(AppendError::Unstorable("a recorded outcome is unreadable".to_owned()))
    })
}
