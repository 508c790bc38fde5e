use crate::rows::Row;
use domain::cart::{Cart, CartLine};
use domain::{CartId, Currency, InvalidMoney, Money, Position, UserId};
use serde::{Deserialize, Serialize};

/// A cart. An owner without a row has an empty cart at version 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartView {
    /// The stream's id; a member's cart has the member's id.
    pub cart_id: CartId,
    /// Whose it is.
    pub owner_id: UserId,
    /// In the order in which they were added; may be empty.
    pub lines: Vec<CartLine>,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied.
    pub position: Position,
}

impl CartView {
    /// The row that a cart's state is shown by; none before it was opened.
    #[must_use]
    pub fn of(cart_id: CartId, cart: &Cart, version: u64, position: Position) -> Option<Self> {
        let Cart { owner_id, lines } = cart;
        Some(Self { cart_id, owner_id: (*owner_id)?, lines: lines.clone(), version, position })
    }

    /// The cart of somebody who never put anything into it.
    #[must_use]
    pub fn empty(owner_id: UserId) -> Self {
        Self {
            cart_id: CartId::of(owner_id),
            owner_id,
            lines: Vec::new(),
            version: 0,
            position: Position::START,
        }
    }

    /// The first line's currency; none while the cart is empty.
    #[must_use]
    pub fn currency(&self) -> Option<Currency> {
        self.lines.first().map(|line| line.unit_price.currency())
    }

    /// What the lines cost at their written prices; none while the cart is empty.
    ///
    /// # Errors
    /// [`InvalidMoney`] never happens for a cart that decisions built: they check the sum.
    pub fn total(&self) -> Result<Option<Money>, InvalidMoney> {
        Cart { owner_id: Some(self.owner_id), lines: self.lines.clone() }.total()
    }
}

impl Row for CartView {
    type Key = CartId;
    const TABLE: &'static str = "carts";
    const KEY: (&'static str, &'static str) = ("cart_id", "uuid");
    const COLUMNS: &'static str = "cart_id, owner_id, lines, version, position";

    fn key(&self) -> CartId {
        self.cart_id
    }
}
