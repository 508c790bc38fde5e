//! Makes the stream a copy of the journal.

use super::{AuditError, Auditor, Remedy, Report, error};
use crate::relay::{Relay, RelayConfig};
use crate::stream::existing;
use domain::{EventSource, Position};
use follow::elections::Elections;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often to look how far the stream is.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// When nothing was published for so long, nobody publishes. Longer than any relay waits before it
/// looks again, and than a cluster needs to elect a leader.
const STALL_PATIENCE: Duration = Duration::from_secs(60);
/// How often a repair is tried. A relay that has read the old epoch may make one more stream with
/// it; that happens once at most for each relay.
const MAX_REPAIRS: u32 = 3;

impl<S: EventSource> Auditor<S> {
    /// Does what the report asks for, lets a relay publish (the one that runs, else one of its
    /// own under the same lease) until the stream reaches `head`, and audits again. Answers the
    /// last audit's report. `say` is told each step in words.
    ///
    /// Consumers of the stream are delivered everything again where the stream was deleted.
    ///
    /// # Errors
    /// [`AuditError`]; it is safe to begin again wherever this ends.
    pub async fn repair(
        &self,
        found: Report,
        head: Position,
        mut say: impl FnMut(String),
    ) -> Result<Report, AuditError> {
        let mut report = found;
        for _ in 0..MAX_REPAIRS {
            match report.remedy() {
                Remedy::Nothing if report.lag() == 0 => break,
                Remedy::Nothing => {}
                Remedy::Refill => self.delete(&mut say).await?,
                Remedy::NewEpoch => {
                    // First: a relay that publishes meanwhile must take the old stream for a
                    // foreign one, and a crash in between must leave that to be seen.
                    let epoch = crate::epoch::begin_anew(&self.pool).await?;
                    say(format!("the journal begins epoch {epoch}"));
                    self.delete(&mut say).await?;
                }
            }
            self.fill(head, &mut say).await?;
            report = match self.audit(head, |_| {}).await {
                // A relay that had read the old epoch was corrected by another; look again.
                Err(AuditError::Changed) => self.audit(head, |_| {}).await?,
                report => report?,
            };
        }
        Ok(report)
    }

    async fn delete(&self, say: &mut impl FnMut(String)) -> Result<(), AuditError> {
        let name = &self.config.name;
        let deleted = self.jetstream().delete_stream(name).await;
        // A relay may have been faster, or an earlier repair was cut off here.
        if let Err(failure) = deleted
            && existing(&self.jetstream(), name).await.map_err(error)?.is_some()
        {
            return Err(error(failure));
        }
        say(format!("deleted the stream {name}; its consumers are delivered everything again"));
        Ok(())
    }

    async fn fill(&self, head: Position, say: &mut impl FnMut(String)) -> Result<(), AuditError> {
        let config = RelayConfig { stream: self.config.clone(), ..RelayConfig::default() };
        let (source, pool, client) = (self.source.clone(), self.pool.clone(), self.client.clone());
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let elections = Elections::start((*pool.connect_options()).clone(), stop.clone());
        let relay = Relay::new(source, pool, client, elections, config);
        tokio::spawn(async move { relay.run(stop).await });
        let (mut reached, mut progress_at) = (Position::START, Instant::now());
        loop {
            let stream = existing(&self.jetstream(), &self.config.name).await;
            // Without an answer there is no progress, which is bounded below.
            let last = stream.ok().flatten().map_or(0, |it| it.cached_info().state.last_sequence);
            let last = Position::new(last);
            if last >= head {
                say(format!("the stream is filled up to {last}"));
                return Ok(());
            }
            if last != reached {
                (reached, progress_at) = (last, Instant::now());
            } else if progress_at.elapsed() >= STALL_PATIENCE {
                return Err(AuditError::Stalled(last));
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}
