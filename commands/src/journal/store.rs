//! `cqrs_es::EventStore` on the journal, so that the frame's own tools (`CqrsFramework`, its test
//! framework) run on it. The shop itself goes through [`crate::bus::Bus`], which handles several
//! aggregates at once and says what happened.

use super::{Append, Appended, Expectation, Journal, NewEvent};
use crate::bus::{Context, World, fold, new_event};
use cqrs_es::persist::{PersistedEventRepository, PersistenceError};
use cqrs_es::{Aggregate, AggregateContext, AggregateError, EventEnvelope, EventStore};
use domain::{EventTypes, StreamKey};
use postgres_es::PostgresEventRepository;
use std::collections::HashMap;
use uuid::Uuid;

/// The journal as an event store for one `CqrsFramework`.
pub struct JournalEventStore {
    journal: Journal,
    repository: PostgresEventRepository,
    world: World,
}

/// An aggregate as it was loaded, with what its next append has to expect.
pub struct JournalContext<A> {
    aggregate_id: String,
    aggregate: A,
    sequence: u64,
    head: Option<Uuid>,
}

impl<A: Aggregate> AggregateContext<A> for JournalContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

impl JournalEventStore {
    /// Reads through the journal's pool, writes through its writer.
    #[must_use]
    pub fn new(journal: Journal, world: World) -> Self {
        let repository = PostgresEventRepository::new(journal.pool().clone());
        Self { journal, repository, world }
    }
}

impl<A> EventStore<A> for JournalEventStore
where
    A: Aggregate<Event: EventTypes>,
{
    type AC = JournalContext<A>;

    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let events = self.repository.get_events::<A>(aggregate_id).await?;
        events
            .into_iter()
            .map(|event| {
                let metadata = serde_json::from_value(event.metadata)
                    .map_err(|error| AggregateError::DeserializationError(error.into()))?;
                let payload =
                    domain::decode_parsed(&event.event_type, &event.event_version, event.payload)
                        .map_err(|error| AggregateError::DeserializationError(error.into()))?;
                Ok(EventEnvelope {
                    aggregate_id: event.aggregate_id,
                    sequence: event.sequence,
                    payload,
                    metadata,
                })
            })
            .collect()
    }

    async fn load_aggregate(
        &self,
        aggregate_id: &str,
    ) -> Result<JournalContext<A>, AggregateError<A::Error>> {
        let events = self.repository.get_events::<A>(aggregate_id).await?;
        let loaded = fold::<A>(events)
            .map_err(|error| AggregateError::DeserializationError(error.into()))?;
        Ok(JournalContext {
            aggregate_id: aggregate_id.to_owned(),
            aggregate: loaded.state,
            sequence: loaded.sequence,
            head: loaded.head,
        })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: JournalContext<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        let stream =
            StreamKey { aggregate_type: A::TYPE, aggregate_id: context.aggregate_id.clone() };
        let actor = metadata.get("actor").cloned().unwrap_or_else(|| "system:cqrs".to_owned());
        let envelope_context = Context {
            actor,
            correlation_id: (self.world.new_id)(),
            causation_id: None,
            traceparent: None,
        };
        let mut appended: Vec<NewEvent> = Vec::with_capacity(events.len());
        let mut envelopes = Vec::with_capacity(events.len());
        for (event, sequence) in events.into_iter().zip(context.sequence + 1..) {
            let event_id = (self.world.new_id)();
            let placed = new_event(&stream, sequence, &event, &envelope_context, event_id);
            appended.push(placed.map_err(|error| AggregateError::UnexpectedError(error.into()))?);
            envelopes.push(EventEnvelope {
                aggregate_id: context.aggregate_id.clone(),
                sequence: usize::try_from(sequence).unwrap_or(usize::MAX),
                payload: event,
                metadata: metadata.clone(),
            });
        }
        let append = Append {
            expectations: vec![Expectation::Head { stream, head: context.head }],
            events: appended,
            keyed: None,
        };
        match self.journal.append(append).await {
            Ok(Appended::Done { .. }) => Ok(envelopes),
            Ok(Appended::Conflict | Appended::Replay { .. }) => {
                Err(PersistenceError::OptimisticLockError.into())
            }
            Err(error) => Err(AggregateError::DatabaseConnectionError(error.into())),
        }
    }
}
