use crate::application::carts::Notice;
use crate::http::Problem;
use crate::openapi::schema::answers;
use domain::cart::{Cart, CartLine};
use domain::{CartId, Currency, Money, Name, ProductId, Quantity, Sku, Text};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

answers!(CartBody);

/// A cart as its owner sees it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CartBody {
    /// The cart's id.
    pub(super) id: CartId,
    /// Grows with every change; 0 before the first.
    pub(super) version: u64,
    /// The currency of all lines; null while the cart is empty.
    pub(super) currency: Option<Currency>,
    /// In the order in which they were added.
    pub(super) lines: Vec<CartLineBody>,
    /// What a coupon takes off; null while the cart is empty.
    pub(super) discount: Option<Money>,
    /// What the lines cost; null while the cart is empty.
    pub(super) total: Option<Money>,
}

/// One line of a cart.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CartLineBody {
    pub(super) sku: Sku,
    pub(super) product_id: ProductId,
    /// The product's.
    pub(super) name: Name,
    /// What tells the variant from its siblings; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<Name>,
    pub(super) picture: Option<Text>,
    /// 1 to 999.
    pub(super) quantity: Quantity,
    /// The price of one piece when the line was last written.
    pub(super) unit_price: Money,
    pub(super) total: Money,
    /// What has become of it since, the gravest first: nobody sells it any more, or not in the cart's currency; there
    /// are fewer pieces; a piece costs something else. Absent where nothing has, and in answers to changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<LineNotice>,
}

/// What has become of a line since it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LineNotice {
    /// Nobody sells it any more, or not in the cart's currency.
    Unavailable,
    /// There are fewer pieces than the line holds.
    Short,
    /// A piece costs something else.
    PriceChanged,
}

impl From<Notice> for LineNotice {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Unavailable => Self::Unavailable,
            Notice::Short => Self::Short,
            Notice::PriceChanged => Self::PriceChanged,
        }
    }
}

/// What to add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"sku": "notebook", "quantity": 1}))]
pub(super) struct AddLine {
    pub(super) sku: Sku,
    /// How many to add; the line holds 1 to 999.
    #[schemars(range(min = 1, max = Quantity::MAX))]
    pub(super) quantity: u32,
}

/// How many the line shall hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({"quantity": 1}))]
pub(super) struct ChangeLine {
    /// 0 removes the line.
    #[schemars(range(max = Quantity::MAX))]
    pub(super) quantity: u32,
}

pub(super) fn body(id: CartId, version: u64, lines: &[CartLine]) -> Result<CartBody, Problem> {
    let cart = Cart { owner_id: None, lines: lines.to_vec() };
    let total = cart.total().map_err(|error| Problem::internal(&error))?;
    let lines = cart.lines.iter().map(|line| {
        let total = line.unit_price.times(line.quantity.get());
        Ok(CartLineBody {
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: line.name.clone(),
            variant: line.variant.clone(),
            picture: line.picture.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            total: total.map_err(|error| Problem::internal(&error))?,
            notice: None,
        })
    });
    Ok(CartBody {
        id,
        version,
        currency: cart.currency(),
        lines: lines.collect::<Result<_, Problem>>()?,
        discount: cart.currency().map(Money::zero),
        total,
    })
}

impl CartBody {
    /// With what there is to know of each line.
    pub(super) fn with(mut self, notices: Vec<Option<Notice>>) -> Self {
        for (line, notice) in self.lines.iter_mut().zip(notices) {
            line.notice = notice.map(Into::into);
        }
        self
    }
}
