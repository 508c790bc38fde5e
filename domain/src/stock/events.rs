use crate::tag::SKU;
use crate::{OrderId, ProductId, Reason, Timestamp, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Facts about the pieces of one SKU. The stream's id is the SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StockEvent {
    /// A product's variant took this SKU. A SKU is taken once, for ever.
    StockItemOpened {
        /// The product it belongs to.
        product_id: ProductId,
    },
    /// Pieces arrived.
    StockReceived {
        /// How many, at least one.
        quantity: u32,
        /// Why, in the words of whoever booked it.
        reason: Reason,
    },
    /// A count or a loss corrected the books.
    StockAdjusted {
        /// Added to what is on hand; may be negative.
        delta: i64,
        /// Why.
        reason: Reason,
    },
    /// Pieces are set aside for an order.
    StockReserved {
        /// For whom.
        order_id: OrderId,
        /// How many.
        quantity: u32,
        /// When the order lapses if it is not paid.
        until: Timestamp,
    },
    /// Reserved pieces are sold.
    StockCommitted {
        /// To whom.
        order_id: OrderId,
        /// How many.
        quantity: u32,
    },
    /// Reserved pieces can be sold to others again.
    StockReleased {
        /// Whose they were.
        order_id: OrderId,
        /// How many.
        quantity: u32,
        /// Why.
        reason: Reason,
    },
}

event_types!(StockEvent {
    StockItemOpened: 1 tagged SKU,
    StockReceived: 1,
    StockAdjusted: 1,
    StockReserved: 1,
    StockCommitted: 1,
    StockReleased: 1,
});
