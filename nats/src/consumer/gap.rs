//! Reads from the journal what the stream cannot deliver.

use super::{Consumer, Delivery, Handler, Settled, Trouble, positions, trouble};
use crate::public_event::PublicEvent;
use domain::{Cursor, EventSource, Position, RecordedEvent};
use follow::patience::within;

/// How many events are read at once.
const READ_BATCH: usize = 256;

impl<S: EventSource> Consumer<S> {
    /// Handles every wanted event after `cursor` and before `first` in order, one after the other,
    /// and moves the cursor along. Events that are delivered beside this are the handler's to
    /// recognise.
    pub(super) async fn close_gap<H: Handler>(
        &self,
        handler: &H,
        mut cursor: Cursor,
        first: Position,
    ) -> Result<Cursor, Trouble> {
        let mut said = false;
        while cursor.position.next() < first {
            let batch = self.source.read_after(cursor, READ_BATCH).await?;
            if batch.is_empty() {
                return Err(trouble("the stream begins after the journal's end"));
            }
            if !std::mem::replace(&mut said, true) {
                tracing::error!(
                    nats.consumer = %self.config.name,
                    event.position = cursor.position.get(),
                    nats.first_sequence = first.get(),
                    "the stream begins behind a consumer's cursor; what is missing comes from the journal"
                );
            }
            for event in batch.iter().filter(|event| event.position < first) {
                if self.wants(&event.aggregate_type, &event.event_type) {
                    handle_for_sure(handler, event).await?;
                }
            }
            // A journal that was cut in front may begin where the stream does.
            let passed = batch.iter().rfind(|event| event.position < first);
            cursor = passed.map_or(Cursor::at(first.previous()), |event| Cursor::behind(event));
            within(positions::advance(&self.pool, &self.config.name, cursor)).await?;
        }
        Ok(cursor)
    }

    /// The whole event at a position, from the journal.
    pub(super) async fn read_journal(
        &self,
        position: Position,
    ) -> Result<Option<PublicEvent<'static>>, Trouble> {
        let event = self.source.event_at(position).await?;
        event.map(|event| PublicEvent::try_from(&*event).map_err(trouble)).transpose()
    }
}

/// Nothing else delivers this event, so it is tried until it is settled.
async fn handle_for_sure<H: Handler>(handler: &H, event: &RecordedEvent) -> Result<(), Trouble> {
    let event = PublicEvent::try_from(event).map_err(trouble)?;
    let mut delivery = Delivery { event, delivered: 1 };
    while let Settled::Again { after } = handler.handle(&delivery).await {
        tokio::time::sleep(after).await;
        delivery.delivered += 1;
    }
    Ok(())
}
