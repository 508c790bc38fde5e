use crate::application::products::{Draft, VariantDraft};
use crate::http::{Cursor, Limit};
use crate::routes::catalogue::{SearchText, Sort, given};
use domain::product::{MAX_CATEGORIES, MAX_VARIANTS, ProductStatus};
use domain::{Currency, Description, Money, Name, Sku, Slug, Text};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A product as it shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({
    "name": "Mug", "description": "Holds tea.", "picture": "/static/image/mug.jpeg",
    "categories": ["Sticker"],
    "variants": [
        {"sku": "mug-blue", "name": "Blue", "price": {"amount": 990, "currency": "USD"}},
    ],
}))]
pub(super) struct ProductRequest {
    pub(super) name: Name,
    /// Prose; may be empty.
    pub(super) description: Description,
    /// A path on this host or an absolute URL.
    #[serde(default)]
    pub(super) picture: Option<Text>,
    /// Slugs, each once.
    #[schemars(length(max = MAX_CATEGORIES))]
    pub(super) categories: Vec<Slug>,
    #[schemars(length(min = 1, max = MAX_VARIANTS))]
    pub(super) variants: Vec<VariantRequest>,
}

/// A variant as it shall be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantRequest {
    /// Belongs to the first product that takes it, for ever.
    pub(super) sku: Sku,
    /// What tells it from its siblings, if there are any.
    #[serde(default)]
    pub(super) name: Option<Name>,
    /// For one piece.
    pub(super) price: Money,
}

/// Which products, in which order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductListParams {
    /// Only those in this status.
    #[serde(default, deserialize_with = "given")]
    pub(super) status: Option<ProductStatus>,
    /// A category's slug, case ignored. One that does not exist has no products.
    #[serde(default, deserialize_with = "given")]
    pub(super) category: Option<Slug>,
    /// Full-text over names, SKUs, categories and descriptions, blind to case, accents, width and composition, tolerant of
    /// typing errors; the last word may be the beginning of one.
    #[serde(default, deserialize_with = "given")]
    pub(super) q: Option<SearchText>,
    /// Without it the best match comes first, or the lowest number when nothing is searched for. By price: that in
    /// `currency`, else in the shop's first, and what has none in it comes last.
    #[serde(default, deserialize_with = "given")]
    pub(super) sort: Option<Sort>,
    /// Only what is priced in this currency, which is what prices are then compared in.
    #[serde(default, deserialize_with = "given")]
    pub(super) currency: Option<Currency>,
    /// How many items at most.
    #[serde(default)]
    pub(super) limit: Limit,
    /// The last page's `next_cursor`.
    pub(super) cursor: Option<Cursor>,
}

impl From<ProductRequest> for Draft {
    fn from(request: ProductRequest) -> Self {
        let variants = request.variants.into_iter();
        Self {
            name: request.name,
            description: request.description,
            picture: request.picture,
            categories: request.categories,
            variants: variants
                .map(|VariantRequest { sku, name, price }| VariantDraft { sku, name, price })
                .collect(),
        }
    }
}
