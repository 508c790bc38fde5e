use crate::{Money, Name, OrderId, ProductId, Quantity, Sku, Text, UserId, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Facts about a cart. A member's cart has the member's id and lives as long as the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CartEvent {
    /// The cart came to be, with its first line.
    CartOpened {
        /// Whose it is.
        owner_id: UserId,
    },
    /// Pieces were added, to a new line or to the line of the same SKU.
    ItemAdded {
        /// What.
        sku: Sku,
        /// The product it is a variant of.
        product_id: ProductId,
        /// The product's name as the customer saw it.
        name: Name,
        /// What tells the variant from its siblings, if there are any, as the customer saw it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        variant: Option<Name>,
        /// Its picture as the customer saw it.
        picture: Option<Text>,
        /// How many were added.
        quantity: Quantity,
        /// The price of one piece at that moment; it is the whole line's price from now on.
        unit_price: Money,
    },
    /// A line holds this many pieces now.
    QuantityChanged {
        /// The line.
        sku: Sku,
        /// How many it holds now.
        quantity: Quantity,
        /// The price of one piece at that moment.
        unit_price: Money,
    },
    /// A line was taken out.
    ItemRemoved {
        /// The line.
        sku: Sku,
    },
    /// The lines became an order; the cart is empty. Appended with the order, or not at all.
    CartCheckedOut {
        /// The order.
        order_id: OrderId,
    },
}

event_types!(CartEvent {
    CartOpened: 1,
    ItemAdded: 1,
    QuantityChanged: 1,
    ItemRemoved: 1,
    CartCheckedOut: 1,
});
