use super::collate::SortKey;
use super::deltas::Deltas;
use super::prices::Prices;
use super::search;
use super::view::{ProductRow, VariantRow};
use crate::projection::{ApplyError, decode, stream_id};
use crate::rows::Rows;
use domain::product::{ProductEvent, ProductStatus, Variant};
use domain::{Currency, ProductId, RecordedEvent, Sku};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) async fn apply(
    conn: &mut PgConnection,
    events: &[Arc<RecordedEvent>],
) -> Result<(), ApplyError> {
    let ids: BTreeSet<ProductId> =
        events.iter().map(|event| stream_id(event)).collect::<Result<_, _>>()?;
    let mut products: Rows<ProductRow> = Rows::load(conn, &ids).await?;
    let mut variants: Rows<VariantRow> =
        Rows::load_by(conn, ("product_id", "uuid"), ids.iter().map(ProductId::to_string).collect())
            .await?;
    let mut deltas = Deltas::default();
    products.iter().for_each(|product| deltas.leave(product));
    for event in events {
        fold_product(&mut products, &mut variants, event)?;
    }
    let mut prices = Prices::default();
    for product_id in &ids {
        if let Some(product) = products.get_mut(product_id) {
            let sold = sold_of(product, &variants);
            derive(product, &sold);
            deltas.enter(product);
            prices.put(product, &sold);
        }
    }
    products.save(conn).await?;
    variants.save(conn).await?;
    prices.save(conn).await?;
    Ok(deltas.save(conn).await?)
}

fn fold_product(
    products: &mut Rows<ProductRow>,
    all_variants: &mut Rows<VariantRow>,
    event: &RecordedEvent,
) -> Result<(), ApplyError> {
    let product_id = stream_id(event)?;
    let fact: ProductEvent = decode(event)?;
    if let ProductEvent::ProductCreated { name, description, picture, categories, variants } = fact
    {
        let number = replace_variants(all_variants, product_id, variants);
        products.put(ProductRow {
            product_id,
            number,
            name,
            description,
            picture,
            categories,
            status: ProductStatus::Draft,
            name_key: SortKey::default(),
            currencies: String::new(),
            sort_name: String::new(),
            sort_price: -1,
            price_currency: None,
            created_position: event.position,
            search_name: String::new(),
            search_text: String::new(),
            words: Vec::new(),
            version: event.sequence,
            position: event.position,
        });
        return Ok(());
    }
    let product = products
        .get_mut(&product_id)
        .ok_or_else(|| ApplyError::contradiction(event, "that was never created"))?;
    product.version = event.sequence;
    product.position = event.position;
    match fact {
        ProductEvent::ProductCreated { .. } => {}
        ProductEvent::ProductRevised { name, description, picture, categories, variants } => {
            product.number = replace_variants(all_variants, product_id, variants);
            product.name = name;
            product.description = description;
            product.picture = picture;
            product.categories = categories;
        }
        ProductEvent::ProductPriced { sku, price } => {
            let variant = all_variants
                .get_mut(&sku)
                .ok_or_else(|| ApplyError::contradiction(event, "without this SKU"))?;
            variant.price_minor = Some(price.amount_minor());
            variant.currency = Some(price.currency());
        }
        ProductEvent::ProductPublished {} => product.status = ProductStatus::Published,
        ProductEvent::ProductRetired {} => product.status = ProductStatus::Retired,
    }
    Ok(())
}

/// Makes these the variants that are sold, and gives the product's number. The others keep their
/// rows; one that comes back is sold again when it has a price again.
fn replace_variants(
    rows: &mut Rows<VariantRow>,
    product_id: ProductId,
    variants: Vec<Variant>,
) -> i32 {
    let number = variants.first().map_or(0, |variant| variant.number);
    let dropped: Vec<Sku> = rows
        .iter()
        .filter(|row| row.product_id == product_id && row.sold)
        .filter(|row| variants.iter().all(|variant| variant.sku != row.sku))
        .map(|row| row.sku.clone())
        .collect();
    for sku in dropped {
        if let Some(row) = rows.get_mut(&sku) {
            row.sold = false;
        }
    }
    for (ordinal, variant) in (0..).zip(variants) {
        let priced = rows.get(&variant.sku).filter(|row| row.sold);
        let (price_minor, currency) =
            priced.map_or((None, None), |row| (row.price_minor, row.currency));
        rows.put(VariantRow {
            sku: variant.sku,
            product_id,
            ordinal,
            number: variant.number,
            name: variant.name,
            price_minor,
            currency,
            sold: true,
        });
    }
    number
}

/// The variants that are sold, in the product's order.
fn sold_of<'a>(product: &ProductRow, variants: &'a Rows<VariantRow>) -> Vec<&'a VariantRow> {
    let mut sold: Vec<&VariantRow> = variants
        .iter()
        .filter(|variant| variant.product_id == product.product_id && variant.sold)
        .collect();
    sold.sort_by_key(|variant| variant.ordinal);
    sold
}

/// Fills the columns that lists are sorted and searched by.
fn derive(product: &mut ProductRow, sold: &[&VariantRow]) {
    product.price_currency = sold.iter().find_map(|variant| variant.currency);
    product.sort_price = sold
        .iter()
        .filter(|variant| variant.currency == product.price_currency)
        .filter_map(|variant| variant.price_minor)
        .min()
        .unwrap_or(-1);
    product.sort_name = product.name.as_str().to_lowercase();
    product.name_key = SortKey::of(product.name.as_str());
    let currencies: BTreeSet<&str> =
        sold.iter().filter_map(|variant| variant.currency.as_ref()).map(Currency::as_str).collect();
    product.currencies = currencies.into_iter().collect::<Vec<_>>().join(",");

    let names = sold.iter().filter_map(|variant| variant.name.as_ref()).map(|name| name.as_str());
    let names: Vec<&str> = std::iter::once(product.name.as_str()).chain(names).collect();
    let skus: Vec<&str> = sold.iter().map(|variant| variant.sku.as_str()).collect();
    let (names, skus) =
        (search::index_words(&names.join(" ")), search::index_words(&skus.join(" ")));
    // A SKU that only repeats the name makes nothing a better match.
    let of_name: BTreeSet<&str> = names.split(' ').collect();
    let of_skus: Vec<&str> = skus.split(' ').filter(|word| !of_name.contains(word)).collect();
    product.search_name = [names.as_str(), &of_skus.join(" ")].join(" ").trim().to_owned();
    let categories: Vec<&str> = product.categories.iter().map(|slug| slug.as_str()).collect();
    product.search_text =
        search::index_words(&format!("{} {}", categories.join(" "), product.description));
    product.words =
        search::vocabulary([product.search_name.as_str(), product.search_text.as_str()]);
}
