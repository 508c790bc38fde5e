//! What is kept under an idempotency key, and how it is found and rendered again.

use super::Bus;
use super::execute::{ExecuteError, Executed, unchanged};
use super::load::{AnyState, LoadError};
use super::plan::{Plan, RequestKey};
use crate::journal::{Append, AppendError, Appended, FirstOutcome, Keyed};
use domain::StreamKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

/// What is recorded under a key beside the positions.
#[derive(Serialize, Deserialize)]
struct Outcome {
    /// Nothing. The build before kept ids here that nobody read, and cannot read an outcome without;
    /// both run while processes are replaced.
    #[serde(skip_deserializing)]
    ids: (),
    /// Version by stream, as it was right after the plan.
    versions: BTreeMap<String, u64>,
}

impl Bus {
    /// Refuses a request whose plan could not even be made, for a reason that its caller has: none
    /// of the steps is decided. None means that the refusal stands. If the plan's key has an outcome
    /// already, that is the answer, rendered from the steps; whoever is still appending under the
    /// key is waited for.
    ///
    /// Nobody may refuse a keyed request otherwise: a look that comes before the writer's says
    /// nothing about what has become of the request meanwhile.
    ///
    /// # Errors
    /// [`ExecuteError`]; `Contended` when what is expected to be unchanged has changed, so that the
    /// plan is to be made again.
    pub async fn refuse(&self, plan: Plan) -> Result<Option<Executed>, ExecuteError> {
        if plan.key.is_none() && plan.unchanged.is_empty() {
            return Ok(None);
        }
        let keyed = plan.key.map(|key| self.keyed(key, None));
        let append = Append { expectations: unchanged(&plan).collect(), events: vec![], keyed };
        let outcome = self.journal.append(append).await;
        if !matches!(outcome, Ok(Appended::Done { .. })) {
            self.forget_unchanged(&plan).await;
        }
        match outcome? {
            Appended::Done { .. } => Ok(None),
            Appended::Replay(first) => self.replay(&plan, first).await.map(Some),
            Appended::Conflict => {
                self.counters.contended.fetch_add(1, Relaxed);
                Err(ExecuteError::Contended)
            }
        }
    }

    /// The first outcome of the plan's key.
    pub(super) async fn replay(
        &self,
        plan: &Plan,
        first: FirstOutcome,
    ) -> Result<Executed, ExecuteError> {
        let reused = plan.key.zip(first.fingerprint);
        if reused.is_some_and(|(key, first)| self.fingerprints.of(&key) != first) {
            return Err(ExecuteError::KeyReused);
        }
        let outcome = parse_outcome(&first.outcome)?;
        Ok(Executed {
            replayed: true,
            positions: first.positions,
            position: first.head,
            recorded_at: Some(first.recorded_at.into()),
            states: self.states_at(plan, &outcome.versions).await?,
        })
    }

    /// The key as the journal takes it; without an outcome nothing is kept under it.
    pub(super) fn keyed(&self, key: RequestKey, outcome: Option<String>) -> Keyed {
        Keyed { key: key.key, fingerprint: self.fingerprints.of(&key), outcome }
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

/// What is kept under the key of a plan that left these states.
pub(super) fn outcome_text(newest: &BTreeMap<StreamKey, AnyState>) -> String {
    let versions =
        newest.iter().map(|(stream, state)| (stream.to_string(), state.sequence)).collect();
    let outcome = Outcome { ids: (), versions };
    serde_json::to_string(&outcome).expect("versions are plain data")
}

fn parse_outcome(text: &str) -> Result<Outcome, ExecuteError> {
    serde_json::from_str(text).map_err(|_| {
        ExecuteError::Append(AppendError::Unstorable("a recorded outcome is unreadable".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::{outcome_text, parse_outcome};
    use crate::bus::load::{AnyState, Loaded};
    use domain::StreamKey;
    use domain::cart::Cart;
    use std::collections::BTreeMap;

    #[test]
    fn an_outcome_is_readable_in_the_build_before_and_the_one_before_in_this() {
        let stream = StreamKey { aggregate_type: "cart", aggregate_id: "1".to_owned() };
        let state = AnyState::new(Loaded { state: Cart::default(), sequence: 7, head: None });
        let kept = outcome_text(&BTreeMap::from([(stream, state)]));
        assert_eq!(kept, r#"{"ids":null,"versions":{"cart/1":7}}"#);
        let before = r#"{"ids":{"order_id":"x"},"versions":{"cart/1":7}}"#;
        for text in [&*kept, before] {
            let outcome = parse_outcome(text).expect("it is readable");
            assert_eq!(outcome.versions, BTreeMap::from([("cart/1".to_owned(), 7)]));
        }
    }
}
