//! Were the mails sent as it is promised: one an order and kind, under one Message-ID, none that is
//! recorded as sent, and again only when a lease has ended between acceptance and record?

use super::check::Violation;
use super::cycle::Cycle;
use super::mailbox::Arrival;
use super::staff::Staff;
use super::{LOOK, patiently};
use anyhow::Context as _;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A mail whose sender was killed is taken over when its lease of a minute is over.
const PATIENCE: Duration = Duration::from_secs(150);

/// The least time between two arrivals of one mail: whoever has its lease sends in the first half
/// of that minute, and nobody else before the second half is over.
const APART: Duration = Duration::from_secs(30);

/// A mail that is recorded as sent.
#[derive(Debug, Clone)]
struct Sent {
    message_id: String,
    /// The order and the kind of mail.
    of: String,
    /// How long ago that was recorded.
    ago: Duration,
}

/// Waits until the mail of every order is recorded as sent, and compares with what arrived. No more
/// may have arrived again than `repetitions`: so many could be on their way to senders that were
/// killed.
pub(super) async fn judge(
    cycle: &Cycle<'_>,
    staff: &mut Staff,
    repetitions: usize,
) -> anyhow::Result<Vec<Violation>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match patiently("PostgreSQL", async || recorded(cycle).await).await? {
            (0, sent) => {
                let arrived = staff.mailbox().taken();
                return Ok(compare(&sent, &ages(&arrived), repetitions));
            }
            (waiting, _) if Instant::now() >= deadline => {
                let what = format!("{waiting} orders have no mail that is settled");
                return Ok(vec![Violation { rule: "mails", what }]);
            }
            _ => {
                staff.supervise(cycle).await?;
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Waits until the mail of every order is recorded as sent.
pub(super) async fn all_are_sent(
    cycle: &Cycle<'_>,
    staff: &mut Staff,
) -> anyhow::Result<Vec<Violation>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (waiting, _) = patiently("PostgreSQL", async || recorded(cycle).await).await?;
        if waiting == 0 {
            return Ok(vec![]);
        }
        if Instant::now() >= deadline {
            let what = format!("{waiting} orders have no mail that is settled");
            return Ok(vec![Violation { rule: "mails", what }]);
        }
        staff.supervise(cycle).await?;
        tokio::time::sleep(LOOK).await;
    }
}

/// The positions of mails that are recorded as sent and that the senders' cursor is not past: they
/// are delivered again when their durable is lost.
pub(super) async fn beyond_the_cursor(cycle: &Cycle<'_>) -> anyhow::Result<Vec<i64>> {
    let mut connection = cycle.ground.connect().await?;
    let positions = sqlx::query_scalar(
        "select position from mails where state = 'sent' and position > \
           coalesce((select max(position) from consumer_positions where name = 'notify'), 0)",
    );
    Ok(positions.fetch_all(&mut connection).await?)
}

/// How many mails somebody has tried to send that wait.
pub(super) async fn tried(cycle: &Cycle<'_>) -> anyhow::Result<usize> {
    let mut connection = cycle.ground.connect().await?;
    let tried: i64 =
        sqlx::query_scalar("select count(*) from mails where state <> 'sent' and attempts > 0")
            .fetch_one(&mut connection)
            .await?;
    Ok(usize::try_from(tried)?)
}

/// How many orders wait for their mail, and all mails that are recorded as sent.
async fn recorded(cycle: &Cycle<'_>) -> anyhow::Result<(i64, Vec<Sent>)> {
    let mut connection = cycle.ground.connect().await?;
    let waiting: i64 = sqlx::query_scalar(
        "select count(*) from events e left join mails m on m.event_id = e.event_id \
          where e.event_type = 'OrderPlaced' and m.state is distinct from 'sent'",
    )
    .fetch_one(&mut connection)
    .await
    .context("mails cannot be counted")?;
    let rows: Vec<(String, String, f64)> = sqlx::query_as(
        "select message_id, order_id || ' ' || kind, \
                extract(epoch from clock_timestamp() - sent_at)::float8 \
           from mails where state = 'sent'",
    )
    .fetch_all(&mut connection)
    .await?;
    let sent = rows.into_iter().map(|(message_id, of, seconds)| {
        let ago = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Sent { message_id, of, ago }
    });
    Ok((waiting, sent.collect()))
}

/// The Message-IDs of what arrived, in order, and how long ago at most.
fn ages(arrived: &[Arrival]) -> Vec<(&str, Duration)> {
    arrived.iter().map(|mail| (mail.message_id.as_str(), mail.at.elapsed())).collect()
}

fn compare(sent: &[Sent], arrived: &[(&str, Duration)], repetitions: usize) -> Vec<Violation> {
    let mut found = vec![];
    let mut add = |what| found.push(Violation { rule: "mails", what });
    let bare = |id: &str| id.trim_matches(['<', '>']).to_owned();
    let mut arrivals = HashMap::<String, Vec<Duration>>::new();
    for (id, ago) in arrived {
        arrivals.entry(bare(id)).or_default().push(*ago);
    }
    let mut named = HashSet::new();
    for Sent { message_id, of, ago } in sent {
        if !named.insert(of) {
            add(format!("order {of} has a second mail, {message_id}"));
        }
        let Some(times) = arrivals.remove(&bare(message_id)) else {
            add(format!("{message_id} is recorded as sent and never arrived"));
            continue;
        };
        if let Some(last) = times.last().filter(|last| *last < ago) {
            let late = *ago - *last;
            add(format!("order {of} got {message_id} {late:.1?} after it was recorded as sent"));
        }
        for pair in times.windows(2).filter(|pair| pair[0] < pair[1] + APART) {
            let apart = pair[0].saturating_sub(pair[1]);
            add(format!("order {of} got {message_id} twice in {apart:.1?}, within one lease"));
        }
    }
    for id in arrivals.keys() {
        add(format!("{id} arrived and is recorded nowhere"));
    }
    let surplus = arrived.len().saturating_sub(sent.len());
    if surplus > repetitions {
        add(format!("{surplus} mails arrived again, at most {repetitions} could"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong, given words like `a@100`: a mail and how many seconds ago.
    fn wrong(sent: &str, arrived: &str, repetitions: usize) -> Vec<String> {
        let words = |text: &str| -> Vec<(String, Duration)> {
            text.split_whitespace()
                .map(|word| {
                    let (id, ago) = word.split_once('@').expect("a mail and its time");
                    (format!("<{id}>"), Duration::from_secs(ago.parse().expect("seconds")))
                })
                .collect()
        };
        let sent: Vec<_> = words(sent)
            .into_iter()
            .map(|(message_id, ago)| {
                let of = message_id.trim_end_matches(['\'', '>']).to_owned();
                Sent { message_id, of, ago }
            })
            .collect();
        let arrived = words(arrived);
        let arrived: Vec<_> = arrived.iter().map(|(id, ago)| (id.as_str(), *ago)).collect();
        compare(&sent, &arrived, repetitions).into_iter().map(|found| found.what).collect()
    }

    #[test]
    fn one_mail_each_that_arrived_before_it_was_recorded_is_right() {
        assert_eq!(wrong("a@100 b@90", "b@91 a@101", 0), [""; 0]);
    }

    #[test]
    fn a_mail_that_is_lost_or_made_up_is_found() {
        assert_eq!(wrong("a@100 b@100", "a@101", 0), ["<b> is recorded as sent and never arrived"]);
        assert_eq!(wrong("a@100", "a@101 b@101", 1), ["b arrived and is recorded nowhere"]);
    }

    #[test]
    fn a_second_mail_of_an_order_is_found() {
        let found = wrong("a@100 a'@90", "a@101 a'@91", 0);
        assert_eq!(found, ["order <a has a second mail, <a'>"]);
    }

    #[test]
    fn a_mail_that_was_recorded_and_arrives_again_is_found_whoever_died() {
        let found = wrong("a@100", "a@101 a@40", 8);
        assert_eq!(found, ["order <a got <a> 60.0s after it was recorded as sent"]);
    }

    #[test]
    fn a_mail_that_two_send_within_one_lease_is_found() {
        let found = wrong("a@100", "a@103 a@101", 8);
        assert_eq!(found, ["order <a got <a> twice in 2.0s, within one lease"]);
    }

    #[test]
    fn a_mail_arrives_again_after_a_lease_if_its_sender_was_killed_and_else_not() {
        assert_eq!(wrong("a@40", "a@101 a@41", 1), [""; 0]);
        assert_eq!(wrong("a@40", "a@101 a@41", 0), ["1 mails arrived again, at most 0 could"]);
    }
}
