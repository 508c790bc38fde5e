use crate::application::ledger::{Booking, BookingKind};
use crate::openapi::schema::answers;
use domain::stock::{MAX_ON_HAND, MAX_RECEIVED};
use domain::{OrderId, Position, ProductId, Reason, Sku, Timestamp};
use projections::stock::StockView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(StockBody, LedgerEntry);

/// The stock of one SKU.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StockBody {
    pub(super) sku: Sku,
    /// The product that the SKU belongs to.
    pub(super) product_id: ProductId,
    /// Pieces in the house.
    pub(super) on_hand: u64,
    /// Pieces of these that are set aside for orders.
    pub(super) reserved: u64,
    /// Pieces that can be sold now.
    pub(super) available: u64,
    pub(super) version: u64,
}

/// What arrived.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"quantity": 1, "reason": "delivery"}))]
pub(super) struct StockReceipt {
    /// Pieces.
    #[schemars(range(min = 1, max = MAX_RECEIVED))]
    pub(super) quantity: u32,
    pub(super) reason: Reason,
}

/// What is to be corrected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"quantity": 1, "reason": "delivery"}))]
pub(super) struct StockAdjustment {
    /// Pieces to add; negative ones are taken away, as far as they are not set aside for orders. Not 0.
    #[schemars(range(min = -(MAX_ON_HAND as i64), max = MAX_ON_HAND))]
    pub(super) quantity: i64,
    pub(super) reason: Reason,
}

/// Something that was booked. The sums of `on_hand` and of `reserved` over all entries are what there is.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LedgerEntry {
    /// The event's position in the journal.
    position: Position,
    /// When it was booked.
    at: Timestamp,
    /// Who booked it, such as `user:<id>`; null when that is not known.
    actor: Option<String>,
    kind: BookingKind,
    /// Pieces that are in the house since, or fewer.
    on_hand: i64,
    /// Pieces that are set aside for orders since, or fewer.
    reserved: i64,
    /// For which order; null when for none.
    order_id: Option<OrderId>,
    /// Why, in the words of whoever booked it; null where nobody is asked.
    reason: Option<Reason>,
}

impl From<Booking> for LedgerEntry {
    fn from(booking: Booking) -> Self {
        let Booking { position, at, actor, kind, on_hand, reserved, order_id, reason } = booking;
        Self { position, at, actor, kind, on_hand, reserved, order_id, reason }
    }
}

impl From<StockView> for StockBody {
    fn from(view: StockView) -> Self {
        Self {
            available: view.available(),
            sku: view.sku,
            product_id: view.product_id,
            on_hand: view.on_hand,
            reserved: view.reserved,
            version: view.version,
        }
    }
}
