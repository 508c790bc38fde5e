use crate::openapi::schema::answers;
use domain::stock::{MAX_ON_HAND, MAX_RECEIVED};
use domain::{ProductId, Reason, Sku};
use projections::stock::StockView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(StockBody);

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
