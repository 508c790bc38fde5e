use super::collate::SortKey;
use crate::rows::Row;
use domain::product::{PricedVariant, Product, ProductStatus};
use domain::{Currency, Money, Name, Position, ProductId, Sku, Slug, Text};
use serde::{Deserialize, Serialize};

/// A product as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProductView {
    /// The stream's id.
    pub product_id: ProductId,
    /// Its first variant's number.
    pub number: i32,
    /// What it is called.
    pub name: Name,
    /// Prose for the customer; may be empty.
    pub description: String,
    /// A path on our host or an absolute URL.
    pub picture: Option<Text>,
    /// The categories that it is listed in.
    pub categories: Vec<Slug>,
    /// Whether it is on sale.
    pub status: ProductStatus,
    /// Those that are sold, in the product's order; at least one.
    pub variants: Vec<VariantView>,
    /// The aggregate's sequence.
    pub version: u64,
    /// The journal position of the last event applied to it or to the stock of its variants.
    pub position: Position,
}

impl ProductView {
    /// What a product's state is shown by, with what is left of each SKU; none before it was created.
    #[must_use]
    pub fn of(
        product_id: ProductId,
        product: &Product,
        available: impl Fn(&Sku) -> u64,
        version: u64,
        position: Position,
    ) -> Option<Self> {
        let variants =
            product.variants.iter().map(|PricedVariant { variant, price }| VariantView {
                available: available(&variant.sku),
                sku: variant.sku.clone(),
                number: variant.number,
                name: variant.name.clone(),
                price: *price,
            });
        let variants: Vec<_> = variants.collect();
        Some(Self {
            product_id,
            number: variants.first()?.number,
            name: product.name.clone()?,
            description: product.description.clone(),
            picture: product.picture.clone(),
            categories: product.categories.clone(),
            status: product.status,
            variants,
            version,
            position,
        })
    }
}

/// A variant as it is shown with its product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VariantView {
    /// Its stock keeping unit.
    pub sku: Sku,
    /// A small positive number for people and old clients.
    pub number: i32,
    /// What tells it from its siblings, if there are any.
    pub name: Option<Name>,
    /// For one piece; none only while the product is a draft.
    pub price: Option<Money>,
    /// Pieces that can be sold now.
    pub available: u64,
}

/// A variant with what a cart and a checkout need to know of its product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OfferView {
    /// Its stock keeping unit.
    pub sku: Sku,
    /// A small positive number for people and old clients.
    pub number: i32,
    /// The product.
    pub product_id: ProductId,
    /// The product's name.
    pub product_name: Name,
    /// What tells the variant from its siblings, if there are any.
    pub variant_name: Option<Name>,
    /// The product's picture.
    pub picture: Option<Text>,
    /// For one piece; none only while the product is a draft.
    pub price: Option<Money>,
    /// Whether it can be bought: its product is published, and the variant is still part of it.
    pub on_sale: bool,
    /// Pieces that can be sold now.
    pub available: u64,
    /// The position of the last event that any of this comes from.
    pub position: Position,
}

/// A category with published products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryView {
    /// Its name in addresses.
    pub slug: Slug,
    /// Its name for people: the slug, as long as nobody can give it another.
    pub name: String,
    /// How many published products it lists; at least one.
    pub product_count: u64,
}

impl Row for CategoryView {
    type Key = Slug;
    const TABLE: &'static str = "categories";
    const KEY: (&'static str, &'static str) = ("slug", "text");
    const COLUMNS: &'static str = "slug, name, product_count";

    fn key(&self) -> Slug {
        self.slug.clone()
    }
}

/// A product's row; its variants have a table of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ProductRow {
    pub(super) product_id: ProductId,
    pub(super) number: i32,
    pub(super) name: Name,
    pub(super) description: String,
    pub(super) picture: Option<Text>,
    pub(super) categories: Vec<Slug>,
    pub(super) status: ProductStatus,
    pub(super) name_key: SortKey,
    /// Those that it has prices in, sorted, with commas between.
    pub(super) currencies: String,
    /// What builds sort by that know neither keys nor prices by currency: the name in lower case, and the lowest price
    /// in the first variant's currency, -1 without.
    pub(super) sort_name: String,
    pub(super) sort_price: i64,
    pub(super) price_currency: Option<Currency>,
    pub(super) created_position: Position,
    /// The words of the names, as the full-text index reads them.
    pub(super) search_name: String,
    /// The words of everything else.
    pub(super) search_text: String,
    /// The distinct words that the vocabulary counts, sorted.
    pub(super) words: Vec<String>,
    pub(super) version: u64,
    pub(super) position: Position,
}

impl Row for ProductRow {
    type Key = ProductId;
    const TABLE: &'static str = "products";
    const KEY: (&'static str, &'static str) = ("product_id", "uuid");
    const COLUMNS: &'static str = "product_id, number, name, description, picture, categories, \
         status, name_key, currencies, sort_name, sort_price, price_currency, created_position, search_name, \
         search_text, words, version, position";

    fn key(&self) -> ProductId {
        self.product_id
    }
}

/// A variant's row. It stays when a revision leaves the variant out, no longer sold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct VariantRow {
    pub(super) sku: Sku,
    pub(super) product_id: ProductId,
    pub(super) ordinal: u32,
    pub(super) number: i32,
    pub(super) name: Option<Name>,
    pub(super) price_minor: Option<i64>,
    pub(super) currency: Option<Currency>,
    pub(super) sold: bool,
}

impl Row for VariantRow {
    type Key = Sku;
    const TABLE: &'static str = "product_variants";
    const KEY: (&'static str, &'static str) = ("sku", "text");
    const COLUMNS: &'static str =
        "sku, product_id, ordinal, number, name, price_minor, currency, sold";

    fn key(&self) -> Sku {
        self.sku.clone()
    }
}

/// A word of published products.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WordRow {
    pub(super) word: String,
    pub(super) uses: u64,
    pub(super) deletions: Vec<String>,
}

impl Row for WordRow {
    type Key = String;
    const TABLE: &'static str = "catalogue_words";
    const KEY: (&'static str, &'static str) = ("word", "text");
    const COLUMNS: &'static str = "word, uses, deletions";

    fn key(&self) -> String {
        self.word.clone()
    }
}

/// A set of currencies that products have prices in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CurrenciesRow {
    pub(super) currencies: String,
    pub(super) products: u64,
}

impl Row for CurrenciesRow {
    type Key = String;
    const TABLE: &'static str = "catalogue_currencies";
    const KEY: (&'static str, &'static str) = ("currencies", "text");
    const COLUMNS: &'static str = "currencies, products";

    fn key(&self) -> String {
        self.currencies.clone()
    }
}
