use super::{StockCommand, StockEvent, StockRejection};
use crate::{Facts, IdMap, Identified, OrderId, ProductId, Sku, Timestamp};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

/// The most pieces on hand, far from the end of an integer of JavaScript or SQL.
pub const MAX_ON_HAND: u64 = 1_000_000_000_000;

/// The stock of one SKU. `Default` is a SKU that nobody took yet.
///
/// Invariant: `reserved` is the sum of `reservations` and never exceeds `on_hand`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockItem {
    /// The product that the SKU belongs to; absent before it was opened.
    pub product_id: Option<ProductId>,
    /// Pieces in the house, set aside or not.
    pub on_hand: u64,
    /// Pieces that are set aside.
    pub reserved: u64,
    /// What is set aside, by order. Bounded by `on_hand`: each holds at least one piece. Copied with
    /// every decision, so it is a map whose copies cost nothing.
    pub reservations: IdMap<Reservation>,
}

/// Pieces that are set aside for one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many, at least one.
    pub quantity: u32,
    /// When the order lapses if it is not paid. Nothing happens by itself then: whoever watches
    /// the time releases it.
    pub until: Timestamp,
}

impl StockItem {
    /// Whether a product took this SKU.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.product_id.is_some()
    }

    /// Pieces that can still be set aside.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }

    /// Ends the order's reservation.
    fn end_reservation(&mut self, order_id: OrderId, quantity: u32) {
        self.reservations.remove(order_id.uuid());
        self.reserved = self.reserved.saturating_sub(u64::from(quantity));
    }
}

impl Identified for StockItem {
    type Id = Sku;
}

impl Aggregate for StockItem {
    const TYPE: &'static str = "stock";
    type Command = StockCommand;
    type Event = StockEvent;
    type Error = StockRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: StockCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), StockRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    // The decisions see to it that nothing saturates here.
    fn apply(&mut self, event: StockEvent) {
        match event {
            StockEvent::StockItemOpened { product_id } => self.product_id = Some(product_id),
            StockEvent::StockReceived { quantity, reason: _ } => {
                self.on_hand = self.on_hand.saturating_add(u64::from(quantity));
            }
            StockEvent::StockAdjusted { delta, reason: _ } => {
                self.on_hand = self.on_hand.saturating_add_signed(delta);
            }
            StockEvent::StockReserved { order_id, quantity, until } => {
                self.reservations.insert(order_id.uuid(), Reservation { quantity, until });
                self.reserved = self.reserved.saturating_add(u64::from(quantity));
            }
            StockEvent::StockCommitted { order_id, quantity } => {
                self.end_reservation(order_id, quantity);
                self.on_hand = self.on_hand.saturating_sub(u64::from(quantity));
            }
            StockEvent::StockReleased { order_id, quantity, reason: _ } => {
                self.end_reservation(order_id, quantity);
            }
        }
    }
}
