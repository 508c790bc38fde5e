//! Whether what follows the journal follows it: the head of the journal as the database has it, beside
//! how far everybody is. A reader that is stuck on a connection that died sees no lag by itself.

use commands::checkout::unpaid;
use commands::counters::Counters;
use commands::journal::Tail;
use commands::payments::settlement;
use domain::Position;
use nats::RelayStatus;
use nats::notify::NotifyStatus;
use projections::Checkpoints;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// How long requests' connections have to answer a look.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// How long somebody may stand still while the journal is ahead before that is said: longer than a
/// batch takes, and than a fail-over inside the shop.
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// What stands still, in the words of `/readyz`.
pub type Stuck = Vec<&'static str>;

/// Who is looked at.
#[derive(Clone)]
pub(crate) struct Watched {
    /// The read models and the process managers, and the head of the journal.
    pub(crate) checkpoints: Checkpoints,
    /// How far this process has read.
    pub(crate) tail: Tail,
    /// The connections of requests.
    pub(crate) requests: PgPool,
    /// The relay of this process.
    pub(crate) relay: watch::Receiver<RelayStatus>,
    /// Its notifier.
    pub(crate) notifier: watch::Receiver<NotifyStatus>,
    /// Its writer.
    pub(crate) writes: Arc<Counters>,
}

/// Looks until `stop`; whoever holds the receiver hears what stands still.
pub(crate) async fn watch(watched: Watched, stuck: watch::Sender<Stuck>, stop: CancellationToken) {
    let Watched { checkpoints, tail, requests, relay, notifier, writes } = watched;
    let mut stands = Stands::default();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
        let head = *checkpoints.journal_head().borrow();
        let now = Instant::now();
        let mut found = Stuck::new();
        // Requests have connections of their own, which may be dead while others live.
        let answered = Position::new(u64::from(is_answered(&requests).await));
        if stands.stands_still("requests", answered, Some(Position::FIRST), now) {
            found.push("postgresql");
        }
        // Nobody answers: then there is nothing to compare with either.
        if stands.stands_still(
            "postgresql",
            Position::new(u64::from(head.is_some())),
            Some(Position::FIRST),
            now,
        ) {
            found.push("postgresql");
        }
        // What nobody can append moves no head.
        if checkpoints.only_reads()
            || writes.unanswered_for().is_some_and(|for_long| for_long >= STUCK_AFTER)
        {
            found.push("writer");
        }
        if stands.stands_still("journal", tail.end().position, head, now) {
            found.push("journal");
        }
        for (name, position) in checkpoints.positions() {
            if stands.stands_still(&name, position, head, now) {
                found.push(word_for(&name));
            }
        }
        let published = relay.borrow().published_position;
        let published = published.map(|position| (position, head));
        let (position, published_head) = published.unwrap_or((Position::START, None));
        if stands.stands_still("relay", position, published_head, now) {
            found.push("relay");
        }
        let NotifyStatus { events, queue, server } = notifier.borrow().clone();
        let is_long = |since: Option<Instant>| since.is_some_and(|at| at.elapsed() >= STUCK_AFTER);
        if is_long(events) || is_long(queue) {
            found.push("notifier");
        }
        if is_long(server) {
            found.push("mail_server");
        }
        found.dedup();
        stuck.send_if_modified(|known| std::mem::replace(known, found.clone()) != found);
    }
}

/// Whether a request that came now would be answered: also lets the pool find connections that have died.
async fn is_answered(requests: &PgPool) -> bool {
    let asked = sqlx::query("select 1").execute(requests);
    tokio::time::timeout(ANSWER_PATIENCE, asked).await.is_ok_and(|answered| answered.is_ok())
}

/// What somebody who follows the journal is called in `/readyz`.
fn word_for(follower: &str) -> &'static str {
    match follower {
        settlement::NAME => settlement::NAME,
        unpaid::NAME => unpaid::NAME,
        _ => "read_models",
    }
}

/// Where everybody stood, and since when.
#[derive(Default)]
struct Stands(BTreeMap<String, (Position, Instant)>);

impl Stands {
    /// Whether somebody is behind the head and has been where they are for too long.
    fn stands_still(
        &mut self,
        who: &str,
        position: Position,
        head: Option<Position>,
        now: Instant,
    ) -> bool {
        let is_behind = head.is_some_and(|head| position < head);
        match self.0.get_mut(who) {
            Some((stood, since)) if is_behind && *stood == position => {
                now.duration_since(*since) >= STUCK_AFTER
            }
            Some(stand) => {
                *stand = (position, now);
                false
            }
            None => {
                self.0.insert(who.to_owned(), (position, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stands_behind_a_journal_that_is_ahead_is_said_to_stand_still() {
        let (mut stands, began) = (Stands::default(), Instant::now());
        let mut looks = |position, head: Option<u64>, seconds| {
            let (position, head) = (Position::new(position), head.map(Position::new));
            stands.stands_still("orders", position, head, began + Duration::from_secs(seconds))
        };
        assert!(!looks(155, Some(155), 0));
        assert!(!looks(155, Some(155), 100), "it has nothing to do");
        assert!(!looks(155, Some(196), 101));
        assert!(looks(155, Some(200), 111), "the head moves and it does not");
        assert!(!looks(156, Some(200), 112), "it moves");
        assert!(!looks(156, None, 200), "nobody knows");
        assert!(!looks(156, Some(200), 209));
        assert!(looks(156, Some(200), 211));
    }
}
