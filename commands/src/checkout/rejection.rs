//! Why a checkout is refused, in one answer that lets the customer mend everything at once.

use crate::bus::ExecuteError;
use domain::{Currency, Money, Rejection, RejectionKind, Sku};
use serde_json::{Value, json};

/// Why a checkout was refused, beyond what cart, stock and order say themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutRejection {
    /// Some lines cannot be delivered.
    #[error("some of the items are not in stock")]
    OutOfStock {
        /// Every line that cannot.
        lines: Vec<Shortage>,
    },
    /// The customer would pay something else than they saw.
    #[error("the total is {total} by now; send it as expected_total to accept it")]
    PriceChanged {
        /// What they would pay.
        total: Money,
        /// The lines whose price differs.
        lines: Vec<PriceChange>,
    },
    /// Some lines are sold in another currency by now.
    #[error(
        "the cart is in {cart}; some of the items are sold in another currency by now: take them out"
    )]
    CurrencyUnavailable {
        /// The cart's currency.
        cart: Currency,
        /// Every line that is.
        lines: Vec<PriceChange>,
    },
    /// The customer, or the address that they order from, has too many orders that nobody has paid.
    #[error(
        "too many orders wait for their payment; pay one of them, or wait until it is cancelled"
    )]
    TooManyOpenOrders,
}

/// When to come back: an open order may be paid, and is cancelled within a quarter of an hour.
const OPEN_ORDERS_RETRY_SECONDS: u64 = 60;

/// A line that cannot be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The line.
    pub sku: Sku,
    /// How many are wanted.
    pub requested: u32,
    /// How many are left.
    pub available: u64,
}

/// A line whose price is not the one that the customer saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceChange {
    /// The line.
    pub sku: Sku,
    /// The price of one piece as they saw it.
    pub seen: Money,
    /// The price of one piece now.
    pub now: Money,
}

impl Rejection for CheckoutRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::OutOfStock { .. } => "out_of_stock",
            Self::PriceChanged { .. } => "price_changed",
            Self::CurrencyUnavailable { .. } => "currency_unavailable",
            Self::TooManyOpenOrders => "too_many_open_orders",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::OutOfStock { .. } | Self::PriceChanged { .. } => RejectionKind::Conflict,
            Self::CurrencyUnavailable { .. } => RejectionKind::Invalid,
            Self::TooManyOpenOrders => RejectionKind::TooMany,
        }
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::OutOfStock { .. }
            | Self::PriceChanged { .. }
            | Self::CurrencyUnavailable { .. } => None,
            Self::TooManyOpenOrders => Some(OPEN_ORDERS_RETRY_SECONDS),
        }
    }

    fn extra(&self) -> Option<Value> {
        Some(match self {
            Self::TooManyOpenOrders => return None,
            Self::OutOfStock { lines } => json!({
                "lines": lines.iter().map(|line| json!({
                    "sku": line.sku, "requested": line.requested, "available": line.available,
                })).collect::<Vec<_>>(),
            }),
            Self::PriceChanged { total, lines } => {
                json!({ "total": total, "lines": changes(lines) })
            }
            Self::CurrencyUnavailable { cart: _, lines } => json!({ "lines": changes(lines) }),
        })
    }
}

fn changes(lines: &[PriceChange]) -> Vec<Value> {
    let change =
        |line: &PriceChange| json!({ "sku": line.sku, "seen": line.seen, "now": line.now });
    lines.iter().map(change).collect()
}

pub(super) fn has_code(rejections: &[Box<dyn Rejection>], code: &str) -> bool {
    rejections.iter().any(|rejection| rejection.code() == code)
}

/// Every line that is out of stock in one answer, so that the customer mends the cart once.
pub(super) fn merge_shortages(error: ExecuteError) -> ExecuteError {
    let ExecuteError::Rejected(rejections) = error else { return error };
    let shortages: Vec<Shortage> = rejections
        .iter()
        .filter(|rejection| rejection.code() == "out_of_stock")
        .filter_map(|rejection| rejection.extra())
        .filter_map(|extra| extra.get("lines").and_then(Value::as_array).cloned())
        .flatten()
        .filter_map(|line| {
            Some(Shortage {
                sku: Sku::parse(line.get("sku")?.as_str()?).ok()?,
                requested: u32::try_from(line.get("requested")?.as_u64()?).ok()?,
                available: line.get("available")?.as_u64()?,
            })
        })
        .collect();
    // A cart that changed explains everything else.
    if shortages.is_empty() || has_code(&rejections, "cart_changed") {
        return ExecuteError::Rejected(rejections);
    }
    ExecuteError::Rejected(vec![Box::new(CheckoutRejection::OutOfStock { lines: shortages })])
}
