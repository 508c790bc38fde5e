//! The published stream is damaged behind the relays' back: wiped, cut short, with holes, and with
//! another history in it.

use super::super::check::{Evidence, copies};
use super::super::crew::{Crew, Manner};
use super::super::cycle::Cycle;
use super::super::staff::{Duty, Staff};
use super::super::{gather, patiently};
use anyhow::Context as _;
use async_nats::header::NATS_EXPECTED_LAST_SEQUENCE;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::{self, stream::Stream};
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
}

pub(super) async fn cycle(cycle: &mut Cycle<'_>) -> anyhow::Result<Evidence> {
    let mut staff = Staff::start(cycle, &[Duty::Relay]).await?;
    let mut crew = Crew::start(cycle, &cycle.urls(), Manner::default())?;
    crew.at_work().await?;
    let mut schedule = [Damage::Wiped, Damage::Truncated, Damage::Holes, Damage::Forked];
    schedule.shuffle(&mut cycle.rng);
    let mut found = vec![];
    for damage in schedule {
        patiently("the relay", async || gather::stream(cycle, ENOUGH_MESSAGES).await.map(drop))
            .await?;
        cycle.fault(format!("the stream {damage:?}"));
        match damage {
            Damage::Wiped => cycle.place.stack.nats.wipe().await?,
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
                leave_alone(cycle).await?;
                repair(cycle, &mut staff).await?;
            }
        }
        let head = gather::head(cycle).await?;
        let stream = patiently("the copy", async || {
            let stream = gather::stream(cycle, head).await?;
            let last = stream.last().map_or(0, |message| message.sequence);
            anyhow::ensure!(
                u64::try_from(stream.len())? == last,
                "{last} messages are not all there"
            );
            Ok(stream)
        })
        .await?;
        found.extend(copies(&gather::journal(cycle).await?.journal, stream));
    }
    crew.enough().await?;
    let mut evidence = crew.finish(cycle).await?;
    evidence.found.extend(found);
    staff.settle(cycle, &mut evidence).await?;
    Ok(evidence)
}

/// Makes the stream again, as somebody with a bad backup would, while the relays do not look.
async fn tamper(cycle: &mut Cycle<'_>, damage: Damage) -> anyhow::Result<()> {
    let client = async_nats::connect(cycle.place.stack.nats.url()).await?;
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
        Damage::Wiped | Damage::Holes | Damage::Forked => messages.len(),
    };
    for (number, message) in (1..).zip(&messages[..kept]) {
        let mut headers = message.headers.clone();
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, (number - 1).to_string());
        if damage == Damage::Forked && number == kept {
            headers.insert(EVENT_ID_HEADER, Uuid::from_u64_pair(cycle.seed, 1).to_string());
        }
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        jetstream.publish_with_headers(subject, headers, payload).await?.await?;
    }
    if damage == Damage::Holes {
        let hole = cycle.rng.random_range(2..messages.len() as u64);
        damaged.delete_message(hole).await?;
    }
    Ok(())
}

async fn all(stream: &Stream) -> anyhow::Result<Vec<StreamMessage>> {
    let mut messages = vec![];
    for sequence in 1..=stream.cached_info().state.last_sequence {
        messages.push(stream.get_raw_message(sequence).await?);
    }
    Ok(messages)
}

/// Sees to it that nobody writes into a stream that tells another history.
async fn leave_alone(cycle: &Cycle<'_>) -> anyhow::Result<()> {
    let last =
        async || anyhow::Ok(gather::stream(cycle, 0).await?.last().map(|last| last.sequence));
    let before = last().await?.context("a forked stream is not empty")?;
    tokio::time::sleep(WATCHED).await;
    let after = last().await?;
    anyhow::ensure!(
        after == Some(before),
        "a relay wrote into another history: {before}, {after:?}"
    );
    anyhow::ensure!(gather::head(cycle).await? > before, "nothing was appended meanwhile");
    Ok(())
}

/// What the operator's handbook says: the stream is deleted. The relays would look again by
/// themselves half a minute later; new ones look at once.
async fn repair(cycle: &Cycle<'_>, staff: &mut Staff) -> anyhow::Result<()> {
    let client = async_nats::connect(cycle.place.stack.nats.url()).await?;
    jetstream::new(client).delete_stream(StreamConfig::default().name).await?;
    for relay in staff.with(Duty::Relay) {
        staff.replace(cycle, relay).await?;
    }
    Ok(())
}
