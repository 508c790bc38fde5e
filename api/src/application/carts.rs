//! Filling a cart.

use super::products::in_its_spelling;
use super::{App, Call, Failure};
use commands::bus::Executed;
use domain::cart::{Cart, CartCommand, CartLine};
use domain::{CartId, Money, Position, Quantity, Rejection, RejectionKind, Sku, UserId};
use projections::catalogue::{self, OfferView};

/// What shall happen to a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// So many pieces more.
    Add {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: u32,
    },
    /// So many pieces in all; 0 removes the line.
    Set {
        /// Of what.
        sku: Sku,
        /// How many.
        quantity: u32,
    },
    /// The line goes.
    Remove {
        /// Which one.
        sku: Sku,
    },
    /// All lines go.
    Clear,
}

/// Changes the cart of `member_id`, which has their id. The cart is the outcome's first state.
///
/// # Errors
/// `unknown_sku`, `quantity_out_of_range`, and what the cart refuses.
pub async fn change(
    app: &App,
    call: &Call,
    member_id: UserId,
    change: Change,
) -> Result<Executed, Failure> {
    let cart_id = CartId::of(member_id);
    match command(app, member_id, change).await {
        Ok(command) => {
            let plan = call.plan().step::<Cart>(&cart_id, command);
            Ok(app.bus.execute(call.keyed(plan)).await?)
        }
        Err(failure) => {
            let plan = call.plan().look::<Cart>(&cart_id);
            app.refuse(call.keyed(plan), failure).await
        }
    }
}

async fn command(app: &App, owner_id: UserId, change: Change) -> Result<CartCommand, Failure> {
    match change {
        Change::Add { sku, quantity } => {
            let quantity = line_quantity(quantity)?;
            let offer = offer(app, &sku).await?;
            Ok(CartCommand::AddItem {
                owner_id,
                unit_price: price(&offer)?,
                sku: offer.sku,
                product_id: offer.product_id,
                name: offer.product_name,
                variant: offer.variant_name,
                picture: offer.picture,
                quantity,
            })
        }
        Change::Set { sku, quantity: 0 } | Change::Remove { sku } => {
            Ok(CartCommand::RemoveItem { sku })
        }
        Change::Set { sku, quantity } => {
            let quantity = line_quantity(quantity)?;
            let offer = offer(app, &sku).await?;
            let unit_price = price(&offer)?;
            Ok(CartCommand::ChangeQuantity { sku: offer.sku, quantity, unit_price })
        }
        Change::Clear => Ok(CartCommand::Clear),
    }
}

/// What somebody should know of a cart's line before they check out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Nobody sells it any more, or not in the cart's currency.
    Unavailable,
    /// There are fewer pieces than the line holds.
    Short,
    /// A piece costs something else than when the line was written.
    PriceChanged,
}

/// Of each line what there is to know, the gravest first; and what the cart at `position` is at with that, which is
/// `position` when there is nothing to know of any, and something else whenever there is something else to know.
///
/// # Errors
/// When the read models cannot be read.
pub async fn notices(
    app: &App,
    lines: &[CartLine],
    position: Position,
) -> Result<(Vec<Option<Notice>>, Position), Failure> {
    if lines.is_empty() {
        return Ok((vec![], position));
    }
    let skus: Vec<Sku> = lines.iter().map(|line| line.sku.clone()).collect();
    let offers = projections::catalogue::variants_by_sku(&app.pool, &skus).await?;
    let of = |line: &CartLine| notice(line, offers.iter().find(|offer| offer.sku == line.sku));
    let notices: Vec<_> = lines.iter().map(of).collect();
    if notices.iter().all(Option::is_none) {
        return Ok((notices, position));
    }
    // What there is to know may be older than the cart.
    let beyond = Position::new(position.get() + 1);
    let last = offers.iter().map(|offer| offer.position).max();
    Ok((notices, last.map_or(beyond, |last| last.max(beyond))))
}

fn notice(line: &CartLine, offer: Option<&OfferView>) -> Option<Notice> {
    let currency = line.unit_price.currency();
    let sold = offer.filter(|offer| offer.on_sale);
    let priced = sold.and_then(|offer| Some((offer, offer.price?)));
    match priced.filter(|(_, price)| price.currency() == currency) {
        None => Some(Notice::Unavailable),
        Some((offer, _)) if offer.available < u64::from(line.quantity.get()) => Some(Notice::Short),
        Some((_, price)) if price != line.unit_price => Some(Notice::PriceChanged),
        Some(_) => None,
    }
}

/// The offer of today. It may be a moment old: the checkout reads the price again.
async fn offer(app: &App, sku: &Sku) -> Result<OfferView, Failure> {
    let variants =
        async |sku| catalogue::variants_by_sku(&app.pool, std::slice::from_ref(sku)).await;
    let mut offers = variants(sku).await?;
    if offers.is_empty() {
        // Nearly everybody names it as it was shown to them.
        offers = variants(&in_its_spelling(app, sku.clone()).await?).await?;
    }
    offers.pop().filter(|offer| offer.on_sale).ok_or_else(|| Failure::refused(UnknownSku))
}

fn price(offer: &OfferView) -> Result<Money, Failure> {
    offer.price.ok_or_else(|| Failure::refused(UnknownSku))
}

fn line_quantity(quantity: u32) -> Result<Quantity, Failure> {
    Quantity::new(quantity).map_err(|_| Failure::refused(OutOfRange))
}

/// Nobody sells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing is sold under this SKU")]
struct UnknownSku;

impl Rejection for UnknownSku {
    fn code(&self) -> &'static str {
        "unknown_sku"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Absent
    }
}

/// Too few or too many pieces for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line holds 1 to {} pieces", Quantity::MAX)]
struct OutOfRange;

impl Rejection for OutOfRange {
    fn code(&self) -> &'static str {
        "quantity_out_of_range"
    }

    fn kind(&self) -> RejectionKind {
        RejectionKind::Invalid
    }
}
