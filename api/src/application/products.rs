//! Writing the catalogue, and its stock.

use super::{App, Call, Failure};
use commands::bus::{Executed, Plan};
use commands::skus::{self, SkuTaken, Spelled};
use domain::product::{Product, ProductCommand, Variant};
use domain::stock::{StockCommand, StockItem};
use domain::{Description, Money, Name, ProductId, Sku, Slug, Tag, Text};
use std::collections::BTreeMap;

/// A product as it shall be.
pub struct Draft {
    /// What it is called.
    pub name: Name,
    /// Prose; may be empty.
    pub description: Description,
    /// A path on this host or an absolute URL.
    pub picture: Option<Text>,
    /// Each once.
    pub categories: Vec<Slug>,
    /// What of it can be bought.
    pub variants: Vec<VariantDraft>,
}

/// A variant as it shall be.
pub struct VariantDraft {
    /// The unit of stock.
    pub sku: Sku,
    /// What tells it from the others.
    pub name: Option<Name>,
    /// What a piece costs.
    pub price: Money,
}

/// A product right after a change.
pub struct Changed {
    /// Which one.
    pub product_id: ProductId,
    /// What was done; the product is its first state.
    pub executed: Executed,
    /// How many pieces of each SKU can be sold.
    pub available: BTreeMap<Sku, u64>,
}

/// Writes a draft and takes its SKUs.
///
/// # Errors
/// `sku_taken` when one of them is another product's, and what the product refuses.
pub async fn create(app: &App, call: &Call, draft: Draft) -> Result<Changed, Failure> {
    let product_id = call.new_id("product", app.world);
    let (draft, skus) = spelled(app, draft).await?;
    let create = ProductCommand::Create {
        name: draft.name,
        description: draft.description,
        picture: draft.picture,
        categories: draft.categories,
        variants: numbered(app, draft.variants, &Product::default()).await?,
    };
    let plan = call.plan().step::<Product>(&product_id, create);
    let executed = app.bus.execute(call.keyed(open_stock(plan, product_id, &skus)));
    let executed = executed.await?;
    // Every SKU has a step of its own after the product's.
    let available = skus
        .into_iter()
        .enumerate()
        .map(|(index, Spelled { sku, .. })| {
            (sku, executed.state::<StockItem>(index + 1).available())
        })
        .collect();
    Ok(Changed { product_id, executed, available })
}

/// Makes the product exactly this, if it is at `version`, when that is given. A SKU that stays keeps its
/// number; one that is left out is no longer sold.
///
/// # Errors
/// [`Failure::NotFound`], `version_conflict`, `sku_taken`, and what the product refuses.
pub async fn revise(
    app: &App,
    call: &Call,
    product_id: ProductId,
    draft: Draft,
    version: Option<u64>,
) -> Result<Changed, Failure> {
    // A SKU that the journal shows in the product was taken by it, and that is for ever: no matter
    // how old this is by the time of the decision, its stock needs no opening.
    let held = app.bus.load::<Product>(&product_id).await?.state;
    if !held.exists() {
        let plan = call.keyed(call.plan().look::<Product>(&product_id));
        let executed = app.refuse(plan, Failure::NotFound).await?;
        return changed(app, product_id, executed).await;
    }
    let (draft, mut new_skus) = spelled(app, draft).await?;
    new_skus.retain(|spelled| held.variant(&spelled.sku).is_none());
    let revise = ProductCommand::Revise {
        name: draft.name,
        description: draft.description,
        picture: draft.picture,
        categories: draft.categories,
        variants: numbered(app, draft.variants, &held).await?,
    };
    let plan = call.plan().step_at::<Product>(&product_id, revise, version);
    let plan = call.keyed(open_stock(plan, product_id, &new_skus));
    changed(app, product_id, app.bus.execute(plan).await?).await
}

/// Puts the product on sale.
///
/// # Errors
/// What the product refuses.
pub async fn publish(app: &App, call: &Call, product_id: ProductId) -> Result<Changed, Failure> {
    execute(app, call, product_id, ProductCommand::Publish).await
}

/// Takes the product off sale; orders keep showing it.
///
/// # Errors
/// What the product refuses.
pub async fn retire(app: &App, call: &Call, product_id: ProductId) -> Result<Changed, Failure> {
    execute(app, call, product_id, ProductCommand::Retire).await
}

/// Books pieces. The stock is the outcome's first state; its SKU comes in the spelling in which it is taken.
///
/// # Errors
/// What the stock refuses.
pub async fn book(
    app: &App,
    call: &Call,
    sku: Sku,
    booking: StockCommand,
) -> Result<(Sku, Executed), Failure> {
    let sku = in_its_spelling(app, sku).await?;
    let plan = call.plan().step::<StockItem>(&sku, booking);
    let executed = app.bus.execute(call.keyed(plan)).await?;
    Ok((sku, executed))
}

/// A SKU as it is spelled where it is taken.
///
/// # Errors
/// When the database cannot be asked.
pub(super) async fn in_its_spelling(app: &App, sku: Sku) -> Result<Sku, Failure> {
    let spelled = skus::spelled(&app.pool, vec![sku.clone()]).await;
    let spelled = spelled.map_err(Failure::unavailable)?.pop();
    Ok(spelled.map_or(sku, |spelled| spelled.sku))
}

async fn execute(
    app: &App,
    call: &Call,
    product_id: ProductId,
    command: ProductCommand,
) -> Result<Changed, Failure> {
    let plan = call.plan().step::<Product>(&product_id, command);
    changed(app, product_id, app.bus.execute(call.keyed(plan)).await?).await
}

/// The variants with their prices and numbers: those of `held` keep theirs, the others get new
/// ones. What a refused request or a retry was given is lost, numbers need not be gap-free.
async fn numbered(
    app: &App,
    variants: Vec<VariantDraft>,
    held: &Product,
) -> Result<Vec<(Variant, Money)>, Failure> {
    let mut numbered = Vec::with_capacity(variants.len());
    for VariantDraft { sku, name, price } in variants {
        let number = match held.variant(&sku) {
            Some(held) => held.variant.number,
            None => app.variant_numbers.next().await.map_err(Failure::unavailable)?,
        };
        numbered.push((Variant { sku, number, name }, price));
    }
    Ok(numbered)
}

/// The draft with each SKU in the spelling in which it is taken, and those SKUs.
async fn spelled(app: &App, mut draft: Draft) -> Result<(Draft, Vec<Spelled>), Failure> {
    let named = draft.variants.iter().map(|variant| variant.sku.clone()).collect();
    let spelled = skus::spelled(&app.pool, named).await.map_err(Failure::unavailable)?;
    for (variant, spelled) in draft.variants.iter_mut().zip(&spelled) {
        variant.sku = spelled.sku.clone();
    }
    Ok((draft, spelled))
}

/// Takes SKUs for the product, all or nothing with whatever else the plan does.
fn open_stock(plan: Plan, product_id: ProductId, skus: &[Spelled]) -> Plan {
    skus.iter().fold(plan, |plan, Spelled { sku, is_taken }| {
        let plan = plan.step::<StockItem>(sku, StockCommand::Open { product_id });
        if *is_taken { plan } else { plan.at_most(1, Tag::of_sku(sku), || Box::new(SkuTaken)) }
    })
}

/// The product right after the command. What can be sold of it is read from the read model, which
/// may be a moment old: the command has not changed it.
async fn changed(app: &App, product_id: ProductId, executed: Executed) -> Result<Changed, Failure> {
    let product: &Product = executed.state(0);
    let skus: Vec<Sku> = product.variants.iter().map(|held| held.variant.sku.clone()).collect();
    let offers = projections::catalogue::variants_by_sku(&app.pool, &skus).await?;
    let available = offers.into_iter().map(|offer| (offer.sku, offer.available)).collect();
    Ok(Changed { product_id, executed, available })
}
