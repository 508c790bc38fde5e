//! What happened, as those who took part wrote it down: one JSON object a line, written before it
//! is acted on, so that a process that is killed leaves a history that is true and at most short of
//! its end.

use super::account::Saw;
use domain::Sku;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// One part of an operation: at most one event on one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Leg {
    /// Moves an amount on an account.
    Move {
        /// Which one.
        account: String,
        /// Added to its balance.
        amount: i64,
    },
    /// Books one piece in.
    Receive {
        /// Of what.
        sku: Sku,
    },
}

/// A line of a worker's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(super) enum Line {
    /// The operation is about to be tried.
    Began {
        /// Names it; in the events' metadata it is the correlation id.
        op: u64,
        /// Its idempotency key.
        key: Option<Uuid>,
        /// What it does, all or nothing.
        legs: Vec<Leg>,
    },
    /// It was acknowledged with these events.
    Done {
        /// Which one.
        op: u64,
        /// The position of its first event.
        first: u64,
        /// The position of its last event.
        last: u64,
        /// Whether its key's first outcome came back.
        replayed: bool,
    },
    /// It was acknowledged as changing nothing.
    Nothing {
        /// Which one.
        op: u64,
        /// What it was decided on.
        saw: Saw,
        /// Whether its key's first outcome came back.
        replayed: bool,
    },
    /// The rules forbid it.
    Refused {
        /// Which one.
        op: u64,
        /// What the first refused leg was decided on.
        saw: Saw,
    },
    /// It was not done, for certain.
    Absent {
        /// Which one.
        op: u64,
    },
    /// Whether it was done is not known.
    Unknown {
        /// Which one.
        op: u64,
    },
}

/// A line of the tail's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The event's position.
    pub(super) position: u64,
    /// The event's id.
    pub(super) event_id: Uuid,
}

/// A history that is being written.
pub(super) struct Log(Mutex<File>);

impl Log {
    /// Goes on with the history in `path`, or begins it. What a killed predecessor left half
    /// written stays on a line of its own.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(b"\n")?;
        Ok(Self(Mutex::new(file)))
    }

    /// Writes lines, in one go. They are with the operating system when this returns.
    pub(super) fn write<T: Serialize>(&self, lines: &[T]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)?;
            bytes.push(b'\n');
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)
    }
}

/// The whole lines of a history, in order; empty when nobody has begun it.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> std::io::Result<Vec<T>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        bytes => bytes?,
    };
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect())
}
