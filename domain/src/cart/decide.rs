use super::state::MAX_LINES;
use super::{Cart, CartEvent, CartLine};
use crate::{
    Facts, Money, Name, OrderId, ProductId, Quantity, Rejection, RejectionKind, Sku, Text, UserId,
};
use cqrs_es::Aggregate;
use serde_json::{Value, json};

/// What can be asked of a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CartCommand {
    /// Add pieces to the SKU's line, or make the line.
    AddItem {
        /// Whose cart it is; recorded with the first line.
        owner_id: UserId,
        /// What.
        sku: Sku,
        /// The product it is a variant of.
        product_id: ProductId,
        /// Its name now.
        name: Name,
        /// What tells the variant from its siblings now, if there are any.
        variant: Option<Name>,
        /// Its picture now.
        picture: Option<Text>,
        /// How many to add.
        quantity: Quantity,
        /// The price of one piece now. Tolerates staleness: the checkout reads it again.
        unit_price: Money,
    },
    /// Make an existing line hold this many.
    ChangeQuantity {
        /// The line.
        sku: Sku,
        /// How many it shall hold.
        quantity: Quantity,
        /// The price of one piece now. Tolerates staleness: the checkout reads it again.
        unit_price: Money,
    },
    /// Take a line out; a line that is not there is fine.
    RemoveItem {
        /// The line.
        sku: Sku,
    },
    /// Take all lines out.
    Clear,
    /// Take the lines of an order back that came to nothing: each that the cart still has room for.
    Restore {
        /// Whose cart it is.
        owner_id: UserId,
        /// The order's lines, with their prices then.
        lines: Vec<CartLine>,
    },
    /// Turn exactly these lines into an order.
    CheckOut {
        /// The order that is placed in the same append.
        order_id: OrderId,
        /// The lines as the order was made from them.
        lines: Vec<(Sku, Quantity)>,
    },
}

/// Why a cart refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CartRejection {
    /// The line would hold more than 999.
    #[error("a line holds 1 to {} pieces; this one would hold {would_hold}", Quantity::MAX)]
    QuantityOutOfRange {
        /// What the line would hold.
        would_hold: u32,
    },
    /// The cart is full.
    #[error("a cart holds at most {MAX_LINES} lines")]
    TooManyLines,
    /// The price is in another currency than the cart.
    #[error("the cart is in {cart}, this item is not sold in it")]
    CurrencyUnavailable {
        /// The cart's currency.
        cart: String,
    },
    /// There is no line of that SKU.
    #[error("the cart has no line of this SKU")]
    NoSuchLine,
    /// The cart would cost more than we can count.
    #[error("the cart would cost more than the shop can charge at once")]
    TotalOutOfRange,
    /// There is nothing to order.
    #[error("the cart is empty")]
    CartIsEmpty,
    /// The cart is not what the order was made from.
    #[error("the cart has changed in the meantime")]
    CartChanged,
}

impl Rejection for CartRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::QuantityOutOfRange { .. } => "quantity_out_of_range",
            Self::TooManyLines => "too_many_lines",
            Self::CurrencyUnavailable { .. } => "currency_unavailable",
            Self::NoSuchLine => "unknown_sku",
            Self::TotalOutOfRange => "total_out_of_range",
            Self::CartIsEmpty => "cart_empty",
            Self::CartChanged => "cart_changed",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NoSuchLine => RejectionKind::Absent,
            Self::CartChanged => RejectionKind::Conflict,
            Self::QuantityOutOfRange { .. }
            | Self::TooManyLines
            | Self::CurrencyUnavailable { .. }
            | Self::TotalOutOfRange
            | Self::CartIsEmpty => RejectionKind::Invalid,
        }
    }

    fn extra(&self) -> Option<Value> {
        match self {
            Self::QuantityOutOfRange { would_hold } => Some(json!({ "would_hold": would_hold })),
            _ => None,
        }
    }
}

impl Cart {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`CartRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: CartCommand,
        _facts: &Facts,
    ) -> Result<Vec<CartEvent>, CartRejection> {
        match command {
            CartCommand::AddItem {
                owner_id,
                sku,
                product_id,
                name,
                variant,
                picture,
                quantity,
                unit_price,
            } => {
                let line =
                    CartLine { sku, product_id, name, variant, picture, quantity, unit_price };
                self.add(owner_id, line)
            }
            CartCommand::ChangeQuantity { sku, quantity, unit_price } => {
                let line = self.line(&sku).ok_or(CartRejection::NoSuchLine)?;
                if line.quantity == quantity && line.unit_price == unit_price {
                    return Ok(vec![]);
                }
                self.check_line(&sku, quantity.get(), unit_price)?;
                Ok(vec![CartEvent::QuantityChanged { sku, quantity, unit_price }])
            }
            CartCommand::RemoveItem { sku } => {
                let line = self.line_in_any_case(&sku).map(|line| line.sku.clone());
                Ok(line.map(|sku| CartEvent::ItemRemoved { sku }).into_iter().collect())
            }
            CartCommand::Clear => Ok(self
                .lines
                .iter()
                .map(|line| CartEvent::ItemRemoved { sku: line.sku.clone() })
                .collect()),
            CartCommand::Restore { owner_id, lines } => {
                let (mut cart, mut events) = (self.clone(), vec![]);
                for line in lines {
                    // What does not fit is left out; the order names it still.
                    for event in cart.add(owner_id, line).unwrap_or_default() {
                        cart.apply(event.clone());
                        events.push(event);
                    }
                }
                Ok(events)
            }
            CartCommand::CheckOut { order_id, lines } => {
                if self.lines.is_empty() {
                    return Err(CartRejection::CartIsEmpty);
                }
                let same = self.lines.len() == lines.len()
                    && self.lines.iter().zip(&lines).all(|(line, (sku, quantity))| {
                        line.sku == *sku && line.quantity == *quantity
                    });
                if !same {
                    return Err(CartRejection::CartChanged);
                }
                Ok(vec![CartEvent::CartCheckedOut { order_id }])
            }
        }
    }

    /// The pieces of a line more, in the line that is there or in one of its own.
    fn add(&self, owner_id: UserId, line: CartLine) -> Result<Vec<CartEvent>, CartRejection> {
        let CartLine { sku, product_id, name, variant, picture, quantity, unit_price } = line;
        let held = self.line(&sku).map_or(0, |line| line.quantity.get());
        self.check_line(&sku, held + quantity.get(), unit_price)?;
        if held == 0 && self.lines.len() >= MAX_LINES {
            return Err(CartRejection::TooManyLines);
        }
        let opened = self.owner_id.is_none().then_some(CartEvent::CartOpened { owner_id });
        let added =
            CartEvent::ItemAdded { sku, product_id, name, variant, picture, quantity, unit_price };
        Ok(opened.into_iter().chain([added]).collect())
    }

    /// Would the cart still keep its rules if `sku`'s line held `quantity` at `unit_price`?
    fn check_line(&self, sku: &Sku, quantity: u32, unit_price: Money) -> Result<(), CartRejection> {
        if quantity > Quantity::MAX {
            return Err(CartRejection::QuantityOutOfRange { would_hold: quantity });
        }
        let mut total = unit_price.times(quantity).map_err(|_| CartRejection::TotalOutOfRange)?;
        for line in self.lines.iter().filter(|line| line.sku != *sku) {
            if line.unit_price.currency() != unit_price.currency() {
                return Err(CartRejection::CurrencyUnavailable {
                    cart: line.unit_price.currency().to_string(),
                });
            }
            let line_total = line.unit_price.times(line.quantity.get());
            total = line_total
                .and_then(|line_total| total.plus(line_total))
                .map_err(|_| CartRejection::TotalOutOfRange)?;
        }
        Ok(())
    }
}
