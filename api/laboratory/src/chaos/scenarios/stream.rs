//! The published stream is damaged behind the relays' back: wiped, cut short, with holes, with
//! another history in it, and by a message that comes late; while events are published, and while
//! nobody writes.

use super::super::check::{Evidence, Violation, copies};
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::proxy::{Moment, Point, Then, Trap};
use super::super::staff::{Duty, Staff};
use super::super::{gather, patiently};
use anyhow::Context as _;
use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::{self, stream::Stream};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nats::StreamConfig;
use nats::stream::EVENT_ID_HEADER;
use rand::Rng;
use rand::seq::SliceRandom;
use std::time::Duration;
use uuid::Uuid;

/// Messages that there have to be before anything is worth damaging.
const ENOUGH_MESSAGES: u64 = 20;

/// How long a relay is watched that must not write. It finds out within a second.
const WATCHED: Duration = Duration::from_secs(2);

/// Messages that are read or written at once while the relays do not look.
const AT_ONCE: usize = 128;

/// What becomes of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// NATS loses everything.
    Wiped,
    /// The last messages are gone.
    Truncated,
    /// Messages in the middle are gone. Relays fill a stream again once in ten minutes, so this
    /// happens once in a cycle.
    Holes,
    /// The last message is another event, as after a fail-over that lost commits. The relays find
    /// it when they start: one that writes notices that it is not alone by the sequence only.
    Forked,
    /// A message arrives when its sender is dead and its successor has published more.
    Late,
}

/// While events are published: whoever publishes is told by the first refusal.
const BUSY: [Damage; 4] = [Damage::Wiped, Damage::Truncated, Damage::Forked, Damage::Late];

/// While nobody writes: the relay has to look by itself.
const QUIET: [Damage; 3] = [Damage::Wiped, Damage::Truncated, Damage::Holes];

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let mut staff = Staff::start(cycle, &[Duty::Relay]).await?;
    let mut crew = Crew::start(cycle, &cycle.urls(), Manner::default())?;
    crew.at_work().await?;
    let (mut busy, mut quiet) = (BUSY, QUIET);
    busy.shuffle(&mut cycle.rng);
    quiet.shuffle(&mut cycle.rng);
    let mut found = vec![];
    for damage in busy {
        patiently("the relay", async || gather::stream(cycle, ENOUGH_MESSAGES).await.map(drop))
            .await?;
        cycle.fault(format!("the stream {damage:?}"));
        found.extend(inflict(damage, cycle, &mut staff).await?);
        found.extend(differs(cycle).await?);
        if !found.is_empty() {
            break;
        }
    }
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    for damage in quiet {
        if !found.is_empty() {
            // It does not become a copy again, and nothing is to be learnt from waiting once more.
            evidence.found.extend(found);
            return Ok(evidence);
        }
        found.extend(differs(cycle).await?);
        cycle.fault(format!("the stream {damage:?}, nobody writes"));
        found.extend(inflict(damage, cycle, &mut staff).await?);
        found.extend(differs(cycle).await?);
    }
    evidence.found.extend(found);
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Damages the stream; what is wrong already then.
async fn inflict(
    damage: Damage,
    cycle: &mut Cycle<'_>,
    staff: &mut Staff,
) -> anyhow::Result<Option<Violation>> {
    match damage {
        Damage::Wiped => cycle.testbed.stack.nats.wipe().await?,
        Damage::Truncated | Damage::Holes => {
            let relays = staff.with(Duty::Relay);
            relays.iter().try_for_each(|relay| staff.child(*relay).freeze())?;
            tamper(cycle, damage).await?;
            relays.iter().try_for_each(|relay| staff.child(*relay).thaw())?;
        }
        Damage::Forked => {
            for relay in staff.with(Duty::Relay) {
                staff.kill(relay).await?;
            }
            tamper(cycle, damage).await?;
            for relay in staff.with(Duty::Relay) {
                staff.replace(cycle, relay).await?;
            }
            let written = is_written(cycle).await?;
            repair(cycle, staff).await?;
            return Ok(written);
        }
        Damage::Late => {
            let trap = Trap { point: Point::Publish, moment: Moment::Late, then: Then::Cut };
            let relay = staff.trap(Duty::Relay, trap).await.context("nobody publishes")?;
            staff.replace(cycle, relay).await?;
            let head = gather::head(cycle).await?;
            patiently("its successor", async || gather::stream(cycle, head).await.map(drop))
                .await?;
            staff.let_go(relay).await?;
        }
    }
    Ok(None)
}

/// Waits until the stream is a copy of the journal again; what is wrong if it does not become one.
async fn differs(cycle: &Cycle<'_>) -> anyhow::Result<Vec<Violation>> {
    let head = gather::head(cycle).await?;
    let copy = patiently("the copy", async || {
        let stream = gather::stream(cycle, head).await?;
        let (there, last) = (stream.len(), stream.last().map_or(0, |message| message.sequence));
        let complete = last >= head && u64::try_from(there)? == last;
        anyhow::ensure!(complete, "{there} messages up to {last}, {head} events");
        Ok(stream)
    })
    .await;
    let journal = gather::journal(cycle).await?.journal;
    match copy {
        Ok(stream) => Ok(copies(&journal, stream)),
        Err(never) => {
            let there = gather::stream(cycle, 0).await.unwrap_or_default();
            let mut found = copies(&journal, there);
            found.push(Violation { rule: "stream", what: format!("{never:#}") });
            Ok(found)
        }
    }
}

/// Makes the stream again, as somebody with a bad backup would, while the relays do not look.
async fn tamper(cycle: &mut Cycle<'_>, damage: Damage) -> anyhow::Result<()> {
    let client = async_nats::connect(cycle.testbed.stack.nats.url()).await?;
    let jetstream = jetstream::new(client);
    let name = StreamConfig::default().name;
    let stream = jetstream.get_stream(&name).await?;
    let messages = all(&stream).await?;
    let mut config = stream.cached_info().config.clone();
    (config.deny_delete, config.deny_purge) = (false, false);
    jetstream.delete_stream(&name).await?;
    let damaged = jetstream.create_stream(config).await?;
    let kept = match damage {
        Damage::Truncated => cycle.rng.random_range(1..messages.len()),
        Damage::Wiped | Damage::Holes | Damage::Forked | Damage::Late => messages.len(),
    };
    let mut unanswered = vec![];
    for (number, message) in (1..).zip(&messages[..kept]) {
        let mut headers = message.headers.clone();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, (number - 1).to_string());
        if damage == Damage::Forked && number == kept as u64 {
            headers.insert(EVENT_ID_HEADER, Uuid::from_u64_pair(cycle.seed, 1).to_string());
        }
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        unanswered.push(jetstream.publish_with_headers(subject, headers, payload).await?);
        if unanswered.len() == AT_ONCE || number == kept as u64 {
            try_join_all(unanswered.drain(..).map(IntoFuture::into_future)).await?;
        }
    }
    if damage == Damage::Holes {
        let hole = cycle.rng.random_range(2..messages.len() as u64);
        damaged.delete_message(hole).await?;
    }
    Ok(())
}

async fn all(stream: &Stream) -> anyhow::Result<Vec<StreamMessage>> {
    let sequences = 1..=stream.cached_info().state.last_sequence;
    let messages = stream::iter(sequences).map(|sequence| stream.get_raw_message(sequence));
    Ok(messages.buffered(AT_ONCE).try_collect().await?)
}

/// Watches a stream that tells another history, which nobody may write into.
async fn is_written(cycle: &Cycle<'_>) -> anyhow::Result<Option<Violation>> {
    let last =
        async || anyhow::Ok(gather::stream(cycle, 0).await?.last().map(|last| last.sequence));
    let before = last().await?.context("a forked stream is not empty")?;
    tokio::time::sleep(WATCHED).await;
    let after = last().await?;
    anyhow::ensure!(gather::head(cycle).await? > before, "nothing was appended meanwhile");
    let what = format!("a relay wrote into another history: {before}, {after:?}");
    Ok((after != Some(before)).then_some(Violation { rule: "stream", what }))
}

/// What the operator's handbook says: the stream is deleted. The relays would look again by
/// themselves half a minute later; new ones look at once.
async fn repair(cycle: &Cycle<'_>, staff: &mut Staff) -> anyhow::Result<()> {
    let client = async_nats::connect(cycle.testbed.stack.nats.url()).await?;
    jetstream::new(client).delete_stream(StreamConfig::default().name).await?;
    for relay in staff.with(Duty::Relay) {
        staff.replace(cycle, relay).await?;
    }
    Ok(())
}
