//! Publishes the journal to NATS JetStream, and what this shop itself does with what is published.
//!
//! **Guarantee.** The stream is a copy of the journal: message *n* is event *n*, without a gap, and
//! whatever happens to the stream (behind, truncated, wiped) it becomes that copy again. A stream
//! that tells another history than the journal is never written to: the [`Relay`] stops and says
//! so. No consumer misses an event, and none has its effect twice.
//!
//! PostgreSQL alone is the truth. Nothing in this crate is needed to sell something; when NATS or
//! the mail server is away everything here waits and catches up.
//!
//! | module | question |
//! |---|---|
//! | [`public_event`] | what does the world see of an event? |
//! | [`stream`] | what is the stream called, and how is it configured? |
//! | [`epoch`] | which history does the journal tell? |
//! | [`relay`] | how does the journal get into the stream? |
//! | [`audit`] | is the stream a copy of the journal, message by message, and how does it become one? |
//! | [`consumer`] | how does an event have its effect, also after the stream was lost? |
//! | [`hints`] | how does another process learn at once that there is something to read? |
//! | [`notify`] | which events send a mail, and what is in it? |
//!
//! The next consumer is a [`Handler`](consumer::Handler) and a
//! [`ConsumerConfig`](consumer::ConsumerConfig); the next mail is a variant of
//! [`MailKind`](notify::MailKind) and its text in every language.

mod connection;

pub mod audit;
pub mod consumer;
pub mod epoch;
pub mod hints;
pub mod notify;
pub mod public_event;
pub mod relay;
pub mod stream;

pub use audit::Auditor;
pub use connection::{ConnectError, check_addresses, connect};
pub use hints::{HintPublisher, Hints};
pub use public_event::{PublicEvent, former_public_event, write_public_event};
pub use relay::{Divergence, Relay, RelayConfig, RelayState, RelayStatus};
pub use stream::StreamConfig;
