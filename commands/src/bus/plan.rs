use super::load::{AnyState, LoadError, Loader};
use crate::journal::{AppendError, NewEvent};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use domain::{
    EventTypes, Facts, Identified, Metadata, Rejection, RejectionKind, StreamKey, Tag, encode_event,
};
use futures::FutureExt;
use std::any::Any;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use uuid::Uuid;

/// Who asks, and what it belongs to; written into every event's metadata.
#[derive(Debug, Clone)]
pub struct Context {
    /// `user:<id>`, `anonymous` or `system:<process>`.
    pub actor: String,
    /// One id for everything that one request leads to.
    pub correlation_id: Uuid,
    /// The event that led to this command, if one did.
    pub causation_id: Option<Uuid>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// An idempotent request: its key, and what its body was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestKey {
    /// Hash of principal, method, path and the client's key.
    pub key: Uuid,
    /// SHA-256 of the canonical body without its passwords. It stays in this process; what the
    /// journal keeps is [`super::FingerprintKey::of`] it.
    pub fingerprint: [u8; 32],
}

/// What shall happen, all or nothing.
pub struct Plan {
    pub(super) context: Context,
    pub(super) steps: Vec<Box<dyn AnyStep>>,
    pub(super) unchanged: Vec<(StreamKey, Option<Uuid>)>,
    pub(super) tags: Vec<Tag>,
    pub(super) limits: Vec<Limit>,
    pub(super) key: Option<RequestKey>,
}

/// Which of the events with a tag a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    All,
    OpenOrders,
}

/// So many events may have a tag, and no more.
pub(super) struct Limit {
    pub(super) counts: Counts,
    pub(super) tag: Tag,
    pub(super) most: u32,
    pub(super) refusal: fn() -> Box<dyn Rejection>,
}

impl Plan {
    /// An empty plan for `context`.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            steps: vec![],
            unchanged: vec![],
            tags: vec![],
            limits: vec![],
            key: None,
        }
    }

    /// Asks aggregate `id` to do `command`. Steps are decided in the order in which they were
    /// added; a later step on the same aggregate sees what an earlier one decided.
    #[must_use]
    pub fn step<A>(self, id: &A::Id, command: A::Command) -> Self
    where
        A: Identified<Services = Facts, Event: EventTypes> + Clone + 'static,
        A::Command: Clone + Send + Sync + 'static,
        A::Error: Rejection,
    {
        self.step_at::<A>(id, command, None)
    }

    /// Like [`Plan::step`], but only if the aggregate is at `version` (when given): `If-Match`.
    #[must_use]
    pub fn step_at<A>(mut self, id: &A::Id, command: A::Command, version: Option<u64>) -> Self
    where
        A: Identified<Services = Facts, Event: EventTypes> + Clone + 'static,
        A::Command: Clone + Send + Sync + 'static,
        A::Error: Rejection,
    {
        let stream = StreamKey::of::<A>(id);
        self.steps.push(Box::new(Step::<A> { stream, command, version }));
        self
    }

    /// Takes aggregate `id` along as it is: a step that changes nothing. It keeps a refused request's
    /// place for what its first outcome is rendered from, see [`super::Bus::refuse`].
    #[must_use]
    pub fn look<A>(mut self, id: &A::Id) -> Self
    where
        A: Identified<Event: EventTypes> + Clone + 'static,
    {
        let stream = StreamKey::of::<A>(id);
        self.steps.push(Box::new(Look::<A> { stream, aggregate: PhantomData }));
        self
    }

    /// The plan was made on an aggregate that it does not change, whose last event was `head`:
    /// a fact that must still hold when the plan's events are appended.
    #[must_use]
    pub fn unchanged<A: Identified>(mut self, id: &A::Id, head: Option<Uuid>) -> Self {
        self.unchanged.push((StreamKey::of::<A>(id), head));
        self
    }

    /// The tag for those of the plan's events whose type has one of that name. Of several of one name they get all.
    #[must_use]
    pub fn tagged(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Refuses if `most` events have the tag already, in whatever streams: uniqueness, or a limit. Also
    /// when the last of them is being appended at this very moment by somebody else.
    #[must_use]
    pub fn at_most(mut self, most: u32, tag: Tag, refusal: fn() -> Box<dyn Rejection>) -> Self {
        self.limits.push(Limit { counts: Counts::All, tag, most, refusal });
        self
    }

    /// Refuses if so many of the events with the tag, which are `OrderPlaced`, are of orders that still wait for their
    /// money. Holds like [`Plan::at_most`]; an order that is paid or cancelled does not count any more.
    #[must_use]
    pub fn at_most_open(
        mut self,
        most: u32,
        tag: Tag,
        refusal: fn() -> Box<dyn Rejection>,
    ) -> Self {
        self.limits.push(Limit { counts: Counts::OpenOrders, tag, most, refusal });
        self
    }

    /// Makes the plan idempotent under `key`. What is created under it takes its ids from the key, and
    /// an answer is rendered again from the plan's steps as they were then, so nothing else is kept.
    #[must_use]
    pub fn keyed(mut self, key: Option<RequestKey>) -> Self {
        self.key = key;
        self
    }
}

/// The aggregate is not at the version that the caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the resource is at version {current} by now")]
pub struct VersionConflict {
    /// The version that it is at.
    pub current: u64,
}

impl Rejection for VersionConflict {
    fn code(&self) -> &'static str {
        "version_conflict"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Conflict
    }
}

/// A step without its aggregate's type, so that one plan can hold several kinds.
pub(super) trait AnyStep: Send + Sync {
    fn stream(&self) -> &StreamKey;

    /// Reads the aggregate from the journal, as of `version` if that is given.
    fn load<'a>(
        &'a self,
        loader: &'a Loader,
        version: Option<u64>,
    ) -> Pin<Box<dyn Future<Output = Result<AnyState, LoadError>> + Send + 'a>>;

    /// Decides on `seen`.
    fn decide(&self, seen: &AnyState, facts: &Facts) -> Result<Decided, Box<dyn Rejection>>;
}

/// What a step decided: the state after its events, and the events in their stored form.
pub(super) struct Decided {
    pub(super) state: Arc<dyn Any + Send + Sync>,
    pub(super) events: Vec<StoredForm>,
}

/// An event without its place.
pub(super) struct StoredForm {
    pub(super) event_type: String,
    pub(super) event_version: String,
    pub(super) payload: String,
    /// Names of its tags.
    pub(super) tags: Vec<&'static str>,
}

struct Step<A: Aggregate> {
    stream: StreamKey,
    command: A::Command,
    version: Option<u64>,
}

impl<A> AnyStep for Step<A>
where
    A: Aggregate<Services = Facts, Event: EventTypes> + Clone + 'static,
    A::Command: Clone + Send + Sync + 'static,
    A::Error: Rejection,
{
    fn stream(&self) -> &StreamKey {
        &self.stream
    }

    fn load<'a>(
        &'a self,
        loader: &'a Loader,
        version: Option<u64>,
    ) -> Pin<Box<dyn Future<Output = Result<AnyState, LoadError>> + Send + 'a>> {
        Box::pin(load::<A>(loader, &self.stream, version))
    }

    fn decide(&self, seen: &AnyState, facts: &Facts) -> Result<Decided, Box<dyn Rejection>> {
        if self.version.is_some_and(|version| version != seen.sequence) {
            return Err(Box::new(VersionConflict { current: seen.sequence }));
        }
        let mut state: A = seen.state.downcast_ref::<A>().cloned().unwrap_or_default();
        let sink = EventSink::<A>::default();
        // `handle` applies what it decides; nothing must apply it a second time. It never waits,
        // which only tokio's cooperative scheduling could disturb.
        let handled = tokio::task::unconstrained(state.handle(self.command.clone(), facts, &sink))
            .now_or_never()
            .expect("decisions are pure and never wait");
        handled.map_err(|rejection| Box::new(rejection) as Box<dyn Rejection>)?;
        let events = sink.collect().now_or_never().expect("collecting never waits");
        let events = events.iter().map(stored_form).collect();
        Ok(Decided { state: Arc::new(state), events })
    }
}

struct Look<A> {
    stream: StreamKey,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> AnyStep for Look<A>
where
    A: Aggregate<Event: EventTypes> + Clone + 'static,
{
    fn stream(&self) -> &StreamKey {
        &self.stream
    }

    fn load<'a>(
        &'a self,
        loader: &'a Loader,
        version: Option<u64>,
    ) -> Pin<Box<dyn Future<Output = Result<AnyState, LoadError>> + Send + 'a>> {
        Box::pin(load::<A>(loader, &self.stream, version))
    }

    fn decide(&self, seen: &AnyState, _facts: &Facts) -> Result<Decided, Box<dyn Rejection>> {
        Ok(Decided { state: Arc::clone(&seen.state), events: vec![] })
    }
}

async fn load<A>(
    loader: &Loader,
    stream: &StreamKey,
    version: Option<u64>,
) -> Result<AnyState, LoadError>
where
    A: Aggregate<Event: EventTypes> + Clone + 'static,
{
    Ok(AnyState::new(loader.load::<A>(&stream.aggregate_id, version).await?))
}

fn stored_form<E: EventTypes>(event: &E) -> StoredForm {
    let event_type = event.event_type();
    let tags = E::TAGS.iter().filter(|(tagged, _)| *tagged == event_type).map(|(_, tag)| *tag);
    StoredForm {
        tags: tags.collect(),
        event_type,
        event_version: event.event_version(),
        payload: encode_event(event).expect("events are plain data and always serialize"),
    }
}

/// An event in the form in which the journal takes it.
///
/// # Errors
/// [`AppendError::Unstorable`] for one that has a tag beside those that its stream says: nobody says which here.
pub fn new_event<E: EventTypes>(
    stream: &StreamKey,
    sequence: u64,
    event: &E,
    context: &Context,
    event_id: Uuid,
) -> Result<NewEvent, AppendError> {
    place(stream, sequence, stored_form(event), &Plan::new(context), event_id)
}

/// Gives an event its place, its id, its metadata and its tags.
pub(super) fn place(
    stream: &StreamKey,
    sequence: u64,
    form: StoredForm,
    plan: &Plan,
    event_id: Uuid,
) -> Result<NewEvent, AppendError> {
    let mut tags = vec![];
    for name in form.tags {
        let before = tags.len();
        tags.extend(Tag::of_stream(name, stream));
        tags.extend(plan.tags.iter().filter(|tag| tag.name == name).cloned());
        if tags.len() == before {
            let missing = format!("{} without its {name}", form.event_type);
            return Err(AppendError::Unstorable(missing));
        }
    }
    let context = &plan.context;
    let metadata = Metadata {
        event_id,
        actor: context.actor.clone(),
        correlation_id: context.correlation_id,
        causation_id: context.causation_id,
        traceparent: context.traceparent.clone(),
    };
    Ok(NewEvent {
        stream: stream.clone(),
        sequence,
        event_type: form.event_type,
        event_version: form.event_version,
        payload: form.payload,
        metadata: serde_json::to_string(&metadata).expect("metadata is plain data"),
        event_id,
        tags,
    })
}
