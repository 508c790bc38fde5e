//! What was booked of the stock of a SKU, from its events.

use super::{App, Failure};
use cqrs_es::Aggregate;
use domain::stock::{StockEvent, StockItem};
use domain::{Filter, OrderId, Position, Reason, RecordedEvent, Sku, Timestamp, decode_event};
use projections::{Limit, Page, QueryError};
use schemars::JsonSchema;
use serde::Serialize;

/// Something that was booked. The sums of `on_hand` and of `reserved` over all of them are what there is.
#[derive(Debug, Clone)]
pub struct Booking {
    /// The event's position in the journal.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// By whom, as events say it; none when that is not known.
    pub actor: Option<String>,
    /// What.
    pub kind: BookingKind,
    /// Pieces that are in the house since, or fewer.
    pub on_hand: i64,
    /// Pieces that are set aside for orders since, or fewer.
    pub reserved: i64,
    /// For which order, if for one.
    pub order_id: Option<OrderId>,
    /// Why, where somebody said so.
    pub reason: Option<Reason>,
}

/// What was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BookingKind {
    /// The SKU was taken by a product.
    Opened,
    /// Pieces arrived.
    Received,
    /// The books were corrected.
    Adjusted,
    /// Pieces were set aside for an order.
    Reserved,
    /// Pieces that were set aside were sold.
    Committed,
    /// Pieces that were set aside can be sold to others.
    Released,
}

/// A page of all that was booked of a SKU, the oldest first.
///
/// # Errors
/// [`Failure::NotFound`] when nobody has taken the SKU; [`QueryError::InvalidCursor`].
pub async fn page(
    app: &App,
    sku: &Sku,
    cursor: Option<&str>,
    limit: Limit,
) -> Result<Page<Booking>, Failure> {
    let after = cursor.map_or(Ok(Position::START), position)?;
    let filter = Filter {
        aggregate_type: Some(StockItem::TYPE.to_owned()),
        aggregate_id: Some(sku.to_string()),
        ..Filter::default()
    };
    let limit = usize::from(limit.get());
    // One more than the page holds shows whether there is a next one.
    let mut events = app.reports.page(after, limit + 1, &filter).await?;
    if events.is_empty() && after == Position::START {
        return Err(Failure::NotFound);
    }
    let more = events.len() > limit;
    events.truncate(limit);
    let next_cursor = events.last().filter(|_| more).map(|last| last.position.to_string());
    let items = events.iter().map(|event| booking(event)).collect::<Result<_, _>>()?;
    Ok(Page { items, next_cursor })
}

/// A cursor of this list is the position at which the page before it ended.
fn position(cursor: &str) -> Result<Position, QueryError> {
    let position = cursor.parse().ok().filter(|position| i64::try_from(*position).is_ok());
    position.map(Position::new).ok_or(QueryError::InvalidCursor)
}

fn booking(event: &RecordedEvent) -> Result<Booking, Failure> {
    let RecordedEvent { event_type, event_version, payload, .. } = event;
    let fact = decode_event(event_type, event_version, payload).map_err(Failure::internal)?;
    let pieces = i64::from;
    let (kind, on_hand, reserved, order_id, reason) = match fact {
        StockEvent::StockItemOpened { .. } => (BookingKind::Opened, 0, 0, None, None),
        StockEvent::StockReceived { quantity, reason } => {
            (BookingKind::Received, pieces(quantity), 0, None, Some(reason))
        }
        StockEvent::StockAdjusted { delta, reason } => {
            (BookingKind::Adjusted, delta, 0, None, Some(reason))
        }
        StockEvent::StockReserved { order_id, quantity, until: _ } => {
            (BookingKind::Reserved, 0, pieces(quantity), Some(order_id), None)
        }
        StockEvent::StockCommitted { order_id, quantity } => {
            (BookingKind::Committed, -pieces(quantity), -pieces(quantity), Some(order_id), None)
        }
        StockEvent::StockReleased { order_id, quantity, reason } => {
            (BookingKind::Released, 0, -pieces(quantity), Some(order_id), Some(reason))
        }
    };
    let (position, at) = (event.position, event.recorded_at.into());
    let actor = event.metadata().ok().map(|metadata| metadata.actor);
    Ok(Booking { position, at, actor, kind, on_hand, reserved, order_id, reason })
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
