use super::view::StockView;
use crate::projection::{ApplyError, decode};
use crate::rows::Rows;
use domain::stock::StockEvent;
use domain::{RecordedEvent, Sku};
use sqlx::PgConnection;
use std::sync::Arc;

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let skus = events.iter().map(|event| stream_sku(event)).collect::<Result<_, _>>()?;
    let mut stock: Rows<StockView> = Rows::load(conn, &skus).await?;
    for event in events {
        fold(&mut stock, event)?;
    }
    Ok(stock.save(conn).await?)
}

fn fold(stock: &mut Rows<StockView>, event: &RecordedEvent) -> Result<(), ApplyError> {
    let sku = stream_sku(event)?;
    let fact: StockEvent = decode(event)?;
    if let StockEvent::StockItemOpened { product_id } = fact {
        stock.put(StockView {
            sku,
            product_id,
            on_hand: 0,
            reserved: 0,
            version: event.sequence,
            position: event.position,
        });
        return Ok(());
    }
    let item = stock
        .get_mut(&sku)
        .ok_or_else(|| ApplyError::contradiction(event, "that was never opened"))?;
    item.version = event.sequence;
    item.position = event.position;
    match fact {
        StockEvent::StockItemOpened { product_id: _ } => {}
        StockEvent::StockReceived { quantity, reason: _ } => {
            item.on_hand = item.on_hand.saturating_add(u64::from(quantity));
        }
        StockEvent::StockAdjusted { delta, reason: _ } => {
            item.on_hand = item.on_hand.saturating_add_signed(delta);
        }
        StockEvent::StockReserved { order_id: _, quantity, until: _ } => {
            item.reserved = item.reserved.saturating_add(u64::from(quantity));
        }
        StockEvent::StockCommitted { order_id: _, quantity } => {
            item.reserved = item.reserved.saturating_sub(u64::from(quantity));
            item.on_hand = item.on_hand.saturating_sub(u64::from(quantity));
        }
        StockEvent::StockReleased { order_id: _, quantity, reason: _ } => {
            item.reserved = item.reserved.saturating_sub(u64::from(quantity));
        }
    }
    Ok(())
}

fn stream_sku(event: &RecordedEvent) -> Result<Sku, ApplyError> {
    Sku::parse(event.aggregate_id.as_str()).map_err(|_| ApplyError::Event {
        position: event.position,
        reason: "the id of this stock item is not a SKU".to_owned(),
    })
}
