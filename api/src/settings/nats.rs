use clap::Args;
use nats::StreamConfig;
use std::fmt;
use std::str::FromStr;

/// The longest name of a stream.
const MAX_STREAM_NAME: usize = 32;

/// Where events are published.
#[derive(Debug, Clone, Args)]
pub struct NatsArgs {
    /// NATS with JetStream; several addresses separated by commas.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", hide_env_values = true)]
    pub nats_url: NatsUrl,
    /// How many servers of a NATS cluster keep the stream: 1, 3 or 5; the same in all processes.
    #[arg(long, env = "GOMALL_NATS_REPLICAS", default_value = "1", value_parser = parse_replicas)]
    pub nats_replicas: usize,
    /// The stream that the journal is published to; its subjects, in lower case, begin with the same word.
    /// Of several shops on one NATS each needs its own.
    #[arg(long, env = "GOMALL_NATS_STREAM", default_value = "GOMALL", value_parser = stream_name)]
    pub nats_stream: String,
}

impl NatsArgs {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> StreamConfig {
        let (name, replicas) = (self.nats_stream.clone(), self.nats_replicas);
        StreamConfig { subject_prefix: name.to_ascii_lowercase(), name, replicas }
    }
}

/// Addresses of NATS, separated by commas. Not shown: they may hold a password.
#[derive(Clone)]
pub struct NatsUrl(String);

impl NatsUrl {
    /// The addresses as they were given.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// No addresses of NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not like nats://host:4222, or several such separated by commas")]
pub struct InvalidNatsUrl;

impl FromStr for NatsUrl {
    type Err = InvalidNatsUrl;

    fn from_str(text: &str) -> Result<Self, InvalidNatsUrl> {
        nats::check_addresses(text).map_err(|_| InvalidNatsUrl)?;
        Ok(Self(text.to_owned()))
    }
}

/// An even number tolerates no more losses than the odd one below it.
fn parse_replicas(text: &str) -> Result<usize, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("it is 1, 3 or 5"),
    }
}

/// A word that is a stream's name and, in lower case, a token of subjects.
fn stream_name(text: &str) -> Result<String, String> {
    let is_word =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if (1..=MAX_STREAM_NAME).contains(&text.len()) && is_word(text) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err(format!("expected 1 to {MAX_STREAM_NAME} letters, digits, - or _"))
    }
}
