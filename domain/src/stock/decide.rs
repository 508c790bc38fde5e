use super::state::MAX_ON_HAND;
use super::{StockEvent, StockItem};
use crate::{
    Facts, OrderId, ProductId, Quantity, Reason, Rejection, RejectionKind, Sku, Timestamp,
};
use serde_json::{Value, json};

/// The most pieces that one delivery brings.
pub const MAX_RECEIVED: u32 = 1_000_000_000;

/// What can be asked of a SKU's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StockCommand {
    /// Take the SKU for a product.
    Open {
        /// The product.
        product_id: ProductId,
    },
    /// Book pieces that arrived.
    Receive {
        /// How many: 1 to [`MAX_RECEIVED`].
        quantity: u32,
        /// Why.
        reason: Reason,
    },
    /// Correct what is on hand.
    Adjust {
        /// Added to what is on hand; may be negative.
        delta: i64,
        /// Why.
        reason: Reason,
    },
    /// Set pieces aside for an order.
    Reserve {
        /// This stock's SKU, for the rejection to name.
        sku: Sku,
        /// For whom.
        order_id: OrderId,
        /// How many.
        quantity: Quantity,
        /// When the order lapses if it is not paid.
        until: Timestamp,
    },
    /// The pieces set aside for the order are sold.
    Commit {
        /// The order.
        order_id: OrderId,
    },
    /// The pieces set aside for the order can be sold to others, if there are any.
    Release {
        /// The order.
        order_id: OrderId,
        /// Why.
        reason: Reason,
    },
}

/// Why a SKU's stock refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockRejection {
    /// No product took this SKU.
    #[error("there is no such SKU")]
    NotFound,
    /// Another product took it.
    #[error("the SKU belongs to another product")]
    SkuTaken {
        /// The product it belongs to.
        product_id: ProductId,
    },
    /// Not 1 to [`MAX_RECEIVED`], or more than [`MAX_ON_HAND`] would be on hand.
    #[error("1 to {MAX_RECEIVED} pieces arrive at once, and at most {MAX_ON_HAND} are on hand")]
    QuantityOutOfRange,
    /// The correction would take pieces that are set aside or do not exist.
    #[error("only {available} pieces are not set aside for orders")]
    InsufficientStock {
        /// Pieces that are not set aside.
        available: u64,
    },
    /// There are not enough pieces left.
    #[error("{requested} pieces of {sku} are wanted and {available} are left")]
    OutOfStock {
        /// The SKU.
        sku: Sku,
        /// How many were wanted.
        requested: u32,
        /// How many are left.
        available: u64,
    },
    /// The order has pieces set aside already, but not this many.
    #[error("{reserved} pieces are set aside for this order already")]
    AlreadyReserved {
        /// How many it has.
        reserved: u32,
    },
    /// Nothing is set aside for the order.
    #[error("nothing is set aside for this order")]
    NotReserved,
}

impl Rejection for StockRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::SkuTaken { .. } => "sku_taken",
            Self::QuantityOutOfRange => "quantity_out_of_range",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::OutOfStock { .. } => "out_of_stock",
            Self::AlreadyReserved { .. } => "already_reserved",
            Self::NotReserved => "not_reserved",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::QuantityOutOfRange => RejectionKind::Invalid,
            Self::SkuTaken { .. }
            | Self::InsufficientStock { .. }
            | Self::OutOfStock { .. }
            | Self::AlreadyReserved { .. }
            | Self::NotReserved => RejectionKind::Conflict,
        }
    }

    fn extra(&self) -> Option<Value> {
        match self {
            // A list, because a checkout that wants several SKUs reports all of them in one.
            Self::OutOfStock { sku, requested, available } => Some(json!({
                "lines": [{ "sku": sku, "requested": requested, "available": available }]
            })),
            Self::InsufficientStock { available } => Some(json!({ "available": available })),
            Self::AlreadyReserved { reserved } => Some(json!({ "reserved": reserved })),
            Self::NotFound
            | Self::SkuTaken { .. }
            | Self::QuantityOutOfRange
            | Self::NotReserved => None,
        }
    }
}

impl StockItem {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`StockRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: StockCommand,
        _facts: &Facts,
    ) -> Result<Vec<StockEvent>, StockRejection> {
        if !self.exists() && !matches!(command, StockCommand::Open { .. }) {
            return Err(StockRejection::NotFound);
        }
        match command {
            StockCommand::Open { product_id } => match self.product_id {
                None => Ok(vec![StockEvent::StockItemOpened { product_id }]),
                Some(owner) if owner == product_id => Ok(vec![]),
                Some(owner) => Err(StockRejection::SkuTaken { product_id: owner }),
            },
            StockCommand::Receive { quantity, reason } => {
                if !(1..=MAX_RECEIVED).contains(&quantity) {
                    return Err(StockRejection::QuantityOutOfRange);
                }
                self.check_on_hand(i64::from(quantity))?;
                Ok(vec![StockEvent::StockReceived { quantity, reason }])
            }
            StockCommand::Adjust { delta, reason } => {
                if delta == 0 {
                    return Ok(vec![]);
                }
                self.check_on_hand(delta)?;
                Ok(vec![StockEvent::StockAdjusted { delta, reason }])
            }
            StockCommand::Reserve { sku, order_id, quantity, until } => {
                let quantity = quantity.get();
                if let Some(held) = self.reservations.get(order_id.uuid()) {
                    return if held.quantity == quantity {
                        Ok(vec![])
                    } else {
                        Err(StockRejection::AlreadyReserved { reserved: held.quantity })
                    };
                }
                let available = self.available();
                if available < u64::from(quantity) {
                    return Err(StockRejection::OutOfStock { sku, requested: quantity, available });
                }
                Ok(vec![StockEvent::StockReserved { order_id, quantity, until }])
            }
            // A second commit is refused, not ignored: knowing the orders that were committed
            // would take a list that grows for ever. Whoever commits does so in one append with
            // OrderPaid, and the order makes that a no-op when it is repeated.
            StockCommand::Commit { order_id } => {
                let held =
                    self.reservations.get(order_id.uuid()).ok_or(StockRejection::NotReserved)?;
                Ok(vec![StockEvent::StockCommitted { order_id, quantity: held.quantity }])
            }
            StockCommand::Release { order_id, reason } => {
                let held = self.reservations.get(order_id.uuid());
                let released = held.map(|held| StockEvent::StockReleased {
                    order_id,
                    quantity: held.quantity,
                    reason,
                });
                Ok(released.into_iter().collect())
            }
        }
    }

    /// Would the books still be right with `delta` pieces more (or less) on hand?
    fn check_on_hand(&self, delta: i64) -> Result<(), StockRejection> {
        match self.on_hand.checked_add_signed(delta) {
            Some(on_hand) if on_hand < self.reserved => {
                Err(StockRejection::InsufficientStock { available: self.available() })
            }
            None if delta < 0 => {
                Err(StockRejection::InsufficientStock { available: self.available() })
            }
            Some(on_hand) if on_hand <= MAX_ON_HAND => Ok(()),
            Some(_) | None => Err(StockRejection::QuantityOutOfRange),
        }
    }
}
