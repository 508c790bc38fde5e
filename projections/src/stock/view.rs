use crate::rows::Row;
use domain::stock::StockItem;
use domain::{Position, ProductId, Sku};
use serde::{Deserialize, Serialize};

/// The stock of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockView {
    /// Its stock keeping unit, the stream's id.
    pub sku: Sku,
    /// The product that the SKU belongs to.
    pub product_id: ProductId,
    /// Pieces in the house.
    pub on_hand: u64,
    /// Pieces of these that are set aside for orders.
    pub reserved: u64,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied.
    pub position: Position,
}

impl StockView {
    /// The row that a stock item's state is shown by; none before it was opened.
    #[must_use]
    pub fn of(sku: Sku, item: &StockItem, version: u64, position: Position) -> Option<Self> {
        let StockItem { product_id, on_hand, reserved, reservations: _ } = item;
        let (on_hand, reserved) = (*on_hand, *reserved);
        Some(Self { sku, product_id: (*product_id)?, on_hand, reserved, version, position })
    }

    /// Pieces that can be sold now.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

impl Row for StockView {
    type Key = Sku;
    const TABLE: &'static str = "stock";
    const KEY: (&'static str, &'static str) = ("sku", "text");
    const COLUMNS: &'static str = "sku, product_id, on_hand, reserved, version, position";

    fn key(&self) -> Sku {
        self.sku.clone()
    }
}
