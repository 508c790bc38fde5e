use super::view::CartView;
use crate::projection::{ApplyError, decode, stream_id};
use crate::rows::Rows;
use cqrs_es::Aggregate;
use domain::RecordedEvent;
use domain::cart::{Cart, CartEvent};
use sqlx::PgConnection;
use std::sync::Arc;

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let ids = events.iter().map(|event| stream_id(event)).collect::<Result<_, _>>()?;
    let mut carts = Rows::load(conn, &ids).await?;
    for event in events {
        fold(&mut carts, event)?;
    }
    Ok(carts.save(conn).await?)
}

fn fold(carts: &mut Rows<CartView>, event: &RecordedEvent) -> Result<(), ApplyError> {
    let cart_id = stream_id(event)?;
    let fact: CartEvent = decode(event)?;
    let mut state = match carts.get_mut(&cart_id) {
        Some(row) => Cart { owner_id: Some(row.owner_id), lines: std::mem::take(&mut row.lines) },
        None => Cart::default(),
    };
    state.apply(fact);
    let owner_id =
        state.owner_id.ok_or_else(|| ApplyError::contradiction(event, "that was never opened"))?;
    carts.put(CartView {
        cart_id,
        owner_id,
        lines: state.lines,
        version: event.sequence,
        position: event.position,
    });
    Ok(())
}
