//! The stream's names and configuration.

use async_nats::HeaderMap;
use async_nats::header::HeaderValue;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, RetentionPolicy, StorageType, Stream,
};
use domain::RecordedEvent;
use std::time::Duration;
use uuid::Uuid;

/// The header that tells an event's id.
pub const EVENT_ID_HEADER: &str = "Gomall-Event-Id";
/// The header that tells the id of the event's aggregate.
pub const AGGREGATE_ID_HEADER: &str = "Gomall-Aggregate-Id";
/// The member of the stream's metadata that tells which history it is a copy of.
pub const EPOCH_METADATA: &str = "gomall-journal-epoch";

/// Where the journal is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamConfig {
    /// The stream's name: no blanks, `.`, `*` or `>`.
    pub name: String,
    /// What every subject begins with: one or more subject tokens.
    pub subject_prefix: String,
    /// How many servers of a cluster keep a copy, 1 to 5.
    pub replicas: usize,
}

impl Default for StreamConfig {
    /// `GOMALL` with the subjects `gomall.>`, on one server.
    fn default() -> Self {
        Self { name: "GOMALL".into(), subject_prefix: "gomall".into(), replicas: 1 }
    }
}

impl StreamConfig {
    /// A stream beside others on one server: name and subject prefix are the same word.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), subject_prefix: name.to_owned(), replicas: 1 }
    }

    /// The subject of one kind of event: `gomall.<aggregate type>.<event type>`.
    #[must_use]
    pub fn subject(&self, aggregate_type: &str, event_type: &str) -> String {
        let (aggregate_type, event_type) = (token(aggregate_type), token(event_type));
        format!("{}.{aggregate_type}.{event_type}", self.subject_prefix)
    }

    pub(crate) fn subject_of(&self, event: &RecordedEvent) -> String {
        self.subject(&event.aggregate_type, &event.event_type)
    }

    /// Every subject of the stream.
    #[must_use]
    pub fn all_subjects(&self) -> String {
        format!("{}.>", self.subject_prefix)
    }

    /// Where hints go. Not below the prefix, or the stream would keep them.
    pub(crate) fn hint_subject(&self) -> String {
        format!("hints.{}.position", self.subject_prefix)
    }

    /// A stream that begins with message `first_sequence`.
    pub(crate) fn to_create(&self, first_sequence: u64, epoch: Uuid) -> Config {
        let config = Config { name: self.name.clone(), ..Config::default() };
        let first_sequence = (first_sequence > 1).then_some(first_sequence);
        self.corrected(Config { first_sequence, ..config }, epoch)
    }

    /// The configuration that an existing stream should have.
    pub(crate) fn corrected(&self, existing: Config, epoch: Uuid) -> Config {
        let mut metadata = existing.metadata;
        metadata.insert(EPOCH_METADATA.to_owned(), epoch.to_string());
        Config {
            subjects: vec![self.all_subjects()],
            description: Some("A copy of GoMall's journal: message n is event n.".to_owned()),
            storage: StorageType::File,
            num_replicas: self.replicas,
            retention: RetentionPolicy::Limits,
            // The journal knows no limits. Where the server has one (a full disk), refusing the
            // newest keeps the copy without a gap; the relay waits.
            max_messages: -1,
            max_bytes: -1,
            max_messages_per_subject: -1,
            max_message_size: -1,
            max_age: Duration::ZERO,
            discard: DiscardPolicy::New,
            // Nobody corrects history by hand. A repair deletes the stream as a whole.
            deny_delete: true,
            deny_purge: true,
            // Lets readers get single messages from any replica.
            allow_direct: true,
            metadata,
            ..existing
        }
    }
}

/// The value of [`AGGREGATE_ID_HEADER`]; none for an id that no header can hold.
pub(crate) fn aggregate_id_header(event: &RecordedEvent) -> Option<HeaderValue> {
    event.aggregate_id.parse().ok()
}

/// The event that a message says it is.
pub(crate) fn event_id(headers: &HeaderMap) -> Option<Uuid> {
    Uuid::try_parse(headers.get(EVENT_ID_HEADER)?.as_str()).ok()
}

/// The epoch for which the stream was made, where that is another one than the journal's; a stream
/// that does not say is taken for ours.
pub(crate) fn foreign_epoch(info: &Info, journal_epoch: Uuid) -> Option<&str> {
    let stream_epoch = info.config.metadata.get(EPOCH_METADATA)?;
    (*stream_epoch != journal_epoch.to_string()).then_some(stream_epoch.as_str())
}

/// The stream as it is now, if there is one.
pub(crate) async fn existing(
    jetstream: &Context,
    name: &str,
) -> Result<Option<Stream>, GetStreamError> {
    match jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Types are identifiers. Whatever a foreign writer put into the journal must neither break a
/// subject nor widen it.
fn token(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    if text.is_empty() { "_".to_owned() } else { text.chars().map(keep).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_name_aggregate_and_event() {
        let config = StreamConfig::default();
        assert_eq!(config.subject("order", "OrderPlaced"), "gomall.order.OrderPlaced");
        assert_eq!(config.all_subjects(), "gomall.>");
    }

    #[test]
    fn a_foreign_type_cannot_widen_a_subject() {
        let config = StreamConfig::default();
        assert_eq!(config.subject("a.b", "> *"), "gomall.a_b.___");
        assert_eq!(config.subject("", "x"), "gomall._.x");
    }

    #[test]
    fn hints_are_not_stored_in_the_stream() {
        let config = StreamConfig::default();
        assert!(!config.hint_subject().starts_with("gomall."));
    }
}
