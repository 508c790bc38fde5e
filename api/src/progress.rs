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
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// How long somebody may stand still while the journal is ahead before that is said: longer than a
/// batch takes, and than a fail-over inside the shop.
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// What stands still, in the words of `/readyz`.
pub type Stuck = Vec<&'static str>;

/// Looks until `stop`; whoever holds the receiver hears what stands still.
pub(crate) async fn watch(
    checkpoints: Checkpoints,
    tail: Tail,
    relay: watch::Receiver<RelayStatus>,
    notifier: watch::Receiver<NotifyStatus>,
    writes: Arc<Counters>,
    stuck: watch::Sender<Stuck>,
    stop: CancellationToken,
) {
    let mut stands = Stands::default();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
            return;
        }
        let head = *checkpoints.journal_head().borrow();
        let now = Instant::now();
        let mut found = Stuck::new();
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
        stuck.send_if_modified(|known| std::mem::replace(known, found.clone()) != found);
    }
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
