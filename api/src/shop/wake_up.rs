//! How the readers of a process hear that there is more to read.

use crate::supervisor::Supervisor;
use commands::journal::Journal;
use domain::Position;
use nats::Hints;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One channel that says how far the journal is, whoever wrote it: this process's writer at once,
/// other processes through NATS. What neither says the readers' polling finds.
pub(super) fn start(
    journal: &Journal,
    hints: &Hints,
    supervisor: &mut Supervisor,
) -> watch::Sender<Position> {
    let woken = watch::Sender::new(Position::START);
    let (ours, theirs) = (watch::Sender::new(Position::START), watch::Sender::new(Position::START));
    supervisor.watch("hint_sender", true, {
        let (hints, ours) = (hints.clone(), ours.clone());
        move |stop| {
            let (hints, ours) = (hints.clone(), ours.subscribe());
            async move {
                stop.run_until_cancelled(hints.send(ours)).await;
            }
        }
    });
    supervisor.watch("hint_receiver", true, {
        let (hints, theirs) = (hints.clone(), theirs.clone());
        move |stop| {
            let (hints, theirs) = (hints.clone(), theirs.clone());
            async move {
                // Without anybody who listens it would end: it may begin before `wake_up` does.
                let _listening = theirs.subscribe();
                stop.run_until_cancelled(hints.receive(&theirs)).await;
            }
        }
    });
    supervisor.watch("wake_up", true, {
        let (head, woken) = (journal.head(), woken.clone());
        move |stop| pass_on(head.clone(), theirs.subscribe(), ours.clone(), woken.clone(), stop)
    });
    woken
}

/// Tells `woken` of every position that is new, and `ours` of those that this process has written.
async fn pass_on(
    mut local: watch::Receiver<Position>,
    mut remote: watch::Receiver<Position>,
    ours: watch::Sender<Position>,
    woken: watch::Sender<Position>,
    stop: CancellationToken,
) {
    loop {
        let position = tokio::select! {
            () = stop.cancelled() => return,
            changed = local.changed() => {
                // The writer has gone: the process is about to.
                if changed.is_err() { return stop.cancelled().await }
                let position = *local.borrow_and_update();
                ours.send_replace(position);
                position
            }
            Ok(()) = remote.changed() => *remote.borrow_and_update(),
        };
        woken.send_if_modified(|known| {
            let newer = position > *known;
            *known = position.max(*known);
            newer
        });
    }
}
