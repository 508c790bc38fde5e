use crate::routes::schema;
use domain::{Reason, Sku};
use projections::catalogue::StockView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The stock of one SKU.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StockBody {
    #[schema(value_type = schema::Token)]
    pub(super) sku: Sku,
    /// The product that the SKU belongs to.
    pub(super) product_id: Uuid,
    /// Pieces in the house.
    pub(super) on_hand: u64,
    /// Pieces of these that are set aside for orders.
    pub(super) reserved: u64,
    /// Pieces that can be sold now.
    pub(super) available: u64,
    pub(super) version: u64,
}

/// What arrived.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StockReceipt {
    /// Pieces.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub(super) quantity: u32,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    pub(super) reason: Reason,
}

/// What is to be corrected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StockAdjustment {
    /// Pieces to add; negative ones are taken away, as far as they are not set aside for orders.
    pub(super) quantity: i64,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
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
