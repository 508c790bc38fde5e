use super::{CartCommand, CartEvent, CartRejection};
use crate::{
    CartId, Currency, Facts, Identified, InvalidMoney, Money, Name, ProductId, Quantity, Sku, Text,
    UserId,
};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::{Deserialize, Serialize};

/// The most lines that a cart holds, so that a checkout's append stays small.
pub const MAX_LINES: usize = 100;

/// A cart's state. `Default` is a cart that does not exist yet, which acts as an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// Whose it is; absent before the first line.
    pub owner_id: Option<UserId>,
    /// In the order in which they were added.
    pub lines: Vec<CartLine>,
}

/// One line of a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// What.
    pub sku: Sku,
    /// The product it is a variant of.
    pub product_id: ProductId,
    /// The product's name as the customer saw it.
    pub name: Name,
    /// What tells the variant from its siblings, if there are any, as the customer saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Name>,
    /// Its picture as the customer saw it.
    pub picture: Option<Text>,
    /// How many.
    pub quantity: Quantity,
    /// The price of one piece when the line was last written.
    pub unit_price: Money,
}

impl Cart {
    /// The line of `sku`.
    #[must_use]
    pub fn line(&self, sku: &Sku) -> Option<&CartLine> {
        self.lines.iter().find(|line| line.sku == *sku)
    }

    /// The line of `sku`, or where there is none in this spelling, that of the same SKU in another.
    #[must_use]
    pub fn line_in_any_case(&self, sku: &Sku) -> Option<&CartLine> {
        self.line(sku).or_else(|| self.lines.iter().find(|line| line.sku.is_same(sku)))
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
        let Some(currency) = self.currency() else { return Ok(None) };
        let mut total = Money::zero(currency);
        for line in &self.lines {
            total = total.plus(line.unit_price.times(line.quantity.get())?)?;
        }
        Ok(Some(total))
    }
}

impl Identified for Cart {
    type Id = CartId;
}

impl Aggregate for Cart {
    const TYPE: &'static str = "cart";
    type Command = CartCommand;
    type Event = CartEvent;
    type Error = CartRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: CartCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), CartRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: CartEvent) {
        match event {
            CartEvent::CartOpened { owner_id } => self.owner_id = Some(owner_id),
            CartEvent::ItemAdded {
                sku,
                product_id,
                name,
                variant,
                picture,
                quantity,
                unit_price,
            } => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.sku == sku) {
                    // The decision saw to it that the sum is a quantity.
                    line.quantity =
                        Quantity::new(line.quantity.get() + quantity.get()).unwrap_or(quantity);
                    line.unit_price = unit_price;
                    line.name = name;
                    line.variant = variant;
                    line.picture = picture;
                } else {
                    self.lines.push(CartLine {
                        sku,
                        product_id,
                        name,
                        variant,
                        picture,
                        quantity,
                        unit_price,
                    });
                }
            }
            CartEvent::QuantityChanged { sku, quantity, unit_price } => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.sku == sku) {
                    line.quantity = quantity;
                    line.unit_price = unit_price;
                }
            }
            CartEvent::ItemRemoved { sku } => self.lines.retain(|line| line.sku != sku),
            CartEvent::CartCheckedOut { order_id: _ } => self.lines.clear(),
        }
    }
}
