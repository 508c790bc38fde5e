//! One call of `journal_append_v4`: how a batch is gathered, bound and read back.

use super::clock::{Clock, MAX_OFFSET};
use super::{
    Append, AppendError, Appended, Expectation, FirstOutcome, Job, MAX_EVENT_BYTES,
    MAX_EVENTS_PER_COMMAND,
};
use domain::{Position, StreamKey, Tag, UserId};
use follow::position;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// Commands in one batch: enough to amortise a commit over many, few enough that one batch's
/// arrays stay small and its latency near that of a commit.
const MAX_COMMANDS: usize = 512;

/// Bytes of payload and metadata in one batch, so that a batch of large events does not grow
/// without bound.
const MAX_BYTES: usize = 4 * 1024 * 1024;

const APPEND: &str = "select cmd, status, first_position, last_position, first_fingerprint, \
     first_outcome, head_position, written_at from journal_append_v4($1, $2, $3, $4, $5, $6, $7, $8, $9, \
     $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, \
     $28, $29, $30)";

/// How far the database's clock may be behind the last event before nothing is appended any more:
/// more than clocks of a primary and its standby differ, and less than anybody's time limit. What is
/// less is evened out, because the time of recording never goes back.
const MAX_CLOCK_BACK: Duration = Duration::from_secs(5);

/// Refuses what the table would refuse, so that it never aborts a batch with neighbours in it.
pub(super) fn check(append: &Append) -> Result<(), AppendError> {
    if append.events.len() > MAX_EVENTS_PER_COMMAND {
        return Err(AppendError::Unstorable(format!(
            "{} events in one command, at most {MAX_EVENTS_PER_COMMAND} are allowed",
            append.events.len()
        )));
    }
    for event in &append.events {
        let bytes = event.payload.len() + event.metadata.len();
        if bytes > MAX_EVENT_BYTES {
            return Err(AppendError::Unstorable(format!(
                "event {} has {bytes} bytes, at most {MAX_EVENT_BYTES} are allowed",
                event.event_type
            )));
        }
    }
    let texts = append.events.iter().flat_map(|event| {
        let texts =
            [&event.payload, &event.metadata, &event.stream.aggregate_id, &event.event_type];
        texts.into_iter().chain(event.tags.iter().map(|tag| &tag.value))
    });
    // PostgreSQL's text holds no NUL byte. The escape stays legal in a `json` column but could
    // not be read out of it, so it is refused as well.
    let outcome = append.keyed.as_ref().and_then(|keyed| keyed.outcome.as_ref());
    for text in texts.chain(outcome) {
        if text.contains('\0') || escapes_nul(text) {
            return Err(AppendError::Unstorable("a text holds a NUL character".to_owned()));
        }
    }
    Ok(())
}

/// Whether a JSON text holds the escape of a NUL character, and not just the same characters behind
/// a backslash of their own.
fn escapes_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes()[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

/// The commands of one call, in the order in which they were decided.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    keys: HashSet<Uuid>,
    /// The last event that this batch adds to a stream.
    heads: HashMap<StreamKey, Uuid>,
    /// The tags of its events.
    tags: HashSet<Tag>,
    bytes: usize,
}

impl Batch {
    /// Takes the job in, or gives it back when it has to wait for the next batch: the batch is
    /// full, holds the same key already (its outcome must be durable before it can be replayed), or
    /// changes a stream, or uses a tag, that the job saw as it was before (the database compares
    /// expectations with what was there before the batch; after it, the job meets the conflict that it
    /// deserves).
    #[expect(clippy::result_large_err, reason = "the job is handed back, not an error report")]
    pub(super) fn offer(&mut self, job: Job) -> Result<(), Job> {
        let bytes: usize =
            job.append.events.iter().map(|event| event.payload.len() + event.metadata.len()).sum();
        let key = job.append.keyed.as_ref().map(|keyed| keyed.key);
        let full = self.jobs.len() >= MAX_COMMANDS
            || (!self.jobs.is_empty() && self.bytes + bytes > MAX_BYTES);
        let overtaken = job.append.expectations.iter().any(|expectation| match expectation {
            Expectation::Head { stream, head } => {
                self.heads.get(stream).is_some_and(|newest| *head != Some(*newest))
            }
            Expectation::Untagged { tag, .. } => self.tags.contains(tag),
        });
        if full || overtaken || key.is_some_and(|key| self.keys.contains(&key)) {
            return Err(job);
        }
        self.keys.extend(key);
        let heads = job.append.events.iter().map(|event| (event.stream.clone(), event.event_id));
        self.heads.extend(heads);
        self.tags.extend(job.append.events.iter().flat_map(|event| event.tags.iter().cloned()));
        self.bytes += bytes;
        self.jobs.push(job);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Takes the batch apart, one job a batch.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        self.jobs.into_iter().map(|job| Self { jobs: vec![job], ..Self::default() })
    }

    /// Answers every command and returns the journal's new head.
    pub(super) fn answer(self, outcomes: Vec<Appended>, head: Position) -> Position {
        for (job, outcome) in self.jobs.into_iter().zip(outcomes) {
            // A caller that went away does not mind.
            let _ = job.reply.send(Ok(outcome));
        }
        head
    }

    /// Tells every command the same error.
    pub(super) fn fail(self, error: &AppendError) {
        for job in self.jobs {
            let _ = job.reply.send(Err(error.clone()));
        }
    }
}

/// Sends the batch as one statement. `resent` makes the function look for our own events first.
pub(super) async fn send(
    connection: &mut PgConnection,
    batch: &Batch,
    resent: bool,
    clock: &Clock,
) -> Result<(Vec<Appended>, Position), sqlx::Error> {
    let jobs = &batch.jobs;
    let mut key: Vec<Option<Uuid>> = Vec::with_capacity(jobs.len());
    let mut fingerprint: Vec<Option<&[u8]>> = Vec::with_capacity(jobs.len());
    let mut outcome: Vec<Option<&str>> = Vec::with_capacity(jobs.len());
    // Which events of the batch are a command's, counted from one.
    let mut first_event: Vec<Option<i32>> = Vec::with_capacity(jobs.len());
    let mut last_event: Vec<Option<i32>> = Vec::with_capacity(jobs.len());
    let (mut c_cmd, mut c_prev, mut c_type, mut c_id, mut c_head) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut t_cmd, mut t_tag, mut t_after) = (vec![], vec![], vec![]);
    let (mut g_event, mut g_tag, mut g_person) = (vec![], vec![], vec![]);
    let (mut e_cmd, mut e_type, mut e_id, mut e_sequence) = (vec![], vec![], vec![], vec![]);
    let (mut e_name, mut e_version, mut e_payload, mut e_metadata, mut e_event_id) =
        (vec![], vec![], vec![], vec![], vec![]);
    // Which command of this batch an event id belongs to: a decision that saw it was speculative.
    let mut decided_in: HashMap<Uuid, i32> = HashMap::new();

    for (index, job) in jobs.iter().enumerate() {
        let cmd = i32::try_from(index + 1).expect("a batch holds at most MAX_COMMANDS");
        let keyed = job.append.keyed.as_ref();
        key.push(keyed.map(|keyed| keyed.key));
        fingerprint.push(keyed.map(|keyed| keyed.fingerprint.as_slice()));
        outcome.push(keyed.and_then(|keyed| keyed.outcome.as_deref()));
        let (before, own) = (count(e_cmd.len()), count(job.append.events.len()));
        first_event.push((own > 0).then_some(before + 1));
        last_event.push((own > 0).then_some(before + own));
        for expectation in &job.append.expectations {
            match expectation {
                Expectation::Head { stream, head } => {
                    c_cmd.push(cmd);
                    let previous = head.and_then(|head| decided_in.get(&head).copied());
                    c_prev.push(previous.unwrap_or(0));
                    c_type.push(stream.aggregate_type);
                    c_id.push(stream.aggregate_id.as_str());
                    c_head.push(*head);
                }
                Expectation::Untagged { tag, after } => {
                    t_cmd.push(cmd);
                    t_tag.push(tag.to_string());
                    t_after.push(after.bigint());
                }
            }
        }
        for event in &job.append.events {
            e_cmd.push(cmd);
            e_type.push(event.stream.aggregate_type);
            e_id.push(event.stream.aggregate_id.as_str());
            e_sequence.push(i64::try_from(event.sequence).unwrap_or(i64::MAX));
            e_name.push(event.event_type.as_str());
            e_version.push(event.event_version.as_str());
            e_payload.push(event.payload.as_str());
            e_metadata.push(event.metadata.as_str());
            e_event_id.push(event.event_id);
            for tag in &event.tags {
                g_event.push(count(e_cmd.len()));
                g_tag.push(tag.to_string());
                g_person.push(tag.person_id.map(UserId::uuid));
            }
        }
        decided_in.extend(job.append.events.iter().map(|event| (event.event_id, cmd)));
    }

    let keyed = key.iter().any(Option::is_some);
    let rows = sqlx::query(APPEND)
        .bind(key)
        .bind(fingerprint)
        .bind(outcome)
        .bind(first_event)
        .bind(last_event)
        .bind(c_cmd)
        .bind(c_prev)
        .bind(c_type)
        .bind(c_id)
        .bind(c_head)
        .bind(t_cmd)
        .bind(t_tag)
        .bind(t_after)
        .bind(e_cmd)
        .bind(e_type)
        .bind(e_id)
        .bind(e_sequence)
        .bind(e_name)
        .bind(e_version)
        .bind(e_payload)
        .bind(e_metadata)
        .bind(e_event_id)
        .bind(g_event)
        .bind(g_tag)
        .bind(g_person)
        .bind(keyed)
        .bind(resent)
        .bind(clock.here())
        .bind(MAX_OFFSET)
        .bind(MAX_CLOCK_BACK)
        .fetch_all(connection)
        .await?;
    match rows.first() {
        // One row for all of them: every command is done, and its events are where they were put.
        Some(row) if row.try_get::<i32, _>("cmd")? == 0 => all_done(jobs, row),
        _ => each(jobs.len(), &rows),
    }
}

fn all_done(jobs: &[Job], row: &PgRow) -> Result<(Vec<Appended>, Position), sqlx::Error> {
    let mut next = position::read(row.try_get("first_position")?)?;
    let head = position::read(row.try_get("head_position")?)?;
    let written_at: Option<OffsetDateTime> = row.try_get("written_at")?;
    let outcomes = jobs.iter().map(|job| {
        let events = job.append.events.len() as u64;
        let first = next;
        next = first.plus(events);
        let positions = (events > 0).then(|| (first, next.previous()));
        Appended::Done { positions, head, recorded_at: written_at.filter(|_| events > 0) }
    });
    Ok((outcomes.collect(), head))
}

fn each(jobs: usize, rows: &[PgRow]) -> Result<(Vec<Appended>, Position), sqlx::Error> {
    if rows.len() != jobs {
        return Err(sqlx::Error::Protocol(format!(
            "journal_append_v4 answered {} of {jobs} commands",
            rows.len(),
        )));
    }
    let head = rows.first().map_or(Ok(0), |row| row.try_get::<i64, _>("head_position"))?;
    let mut outcomes = vec![Appended::Conflict; jobs];
    for row in rows {
        let cmd: i32 = row.try_get("cmd")?;
        let index = usize::try_from(cmd - 1).unwrap_or(usize::MAX);
        let slot = outcomes
            .get_mut(index)
            .ok_or_else(|| sqlx::Error::Protocol(format!("no command {cmd} in the batch")))?;
        *slot = read_outcome(row)?;
    }
    Ok((outcomes, position::read(head)?))
}

/// A batch is bounded far below.
fn count(events: usize) -> i32 {
    i32::try_from(events).expect("MAX_COMMANDS times MAX_EVENTS_PER_COMMAND fits")
}

fn read_outcome(row: &PgRow) -> Result<Appended, sqlx::Error> {
    let first: Option<i64> = row.try_get("first_position")?;
    let last: Option<i64> = row.try_get("last_position")?;
    let last = last.map(position::read).transpose()?;
    // A command that had nothing to do is kept with the head as its last position, and a first one
    // behind it.
    let positions =
        first.map(position::read).transpose()?.zip(last).filter(|(first, last)| first <= last);
    match row.try_get::<&str, _>("status")? {
        "ok" => {
            let head: i64 = row.try_get("head_position")?;
            let recorded_at = row.try_get("written_at")?;
            Ok(Appended::Done { positions, head: position::read(head)?, recorded_at })
        }
        "replay" => {
            let fingerprint: Option<Vec<u8>> = row.try_get("first_fingerprint")?;
            Ok(Appended::Replay(FirstOutcome {
                positions,
                head: last.unwrap_or_default(),
                // What has another length is no fingerprint of anything.
                fingerprint: fingerprint.map(|bytes| bytes.try_into().unwrap_or([0; 32])),
                outcome: row.try_get("first_outcome")?,
                recorded_at: row.try_get("written_at")?,
            }))
        }
        "conflict" => Ok(Appended::Conflict),
        other => Err(sqlx::Error::Protocol(format!("journal_append_v4 answered {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::escapes_nul;

    #[test]
    fn an_escaped_nul_is_found_and_its_spelling_in_words_is_not() {
        assert!(escapes_nul(r#"{"a":"\u0000"}"#));
        assert!(escapes_nul(r#"{"a":"\\\u0000"}"#));
        assert!(!escapes_nul(r#"{"a":"\\u0000"}"#));
        assert!(!escapes_nul(r#"{"a":"u0000"}"#));
    }
}
