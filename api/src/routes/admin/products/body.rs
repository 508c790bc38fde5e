use crate::application::products::{Draft, VariantDraft};
use crate::http::Limit;
use crate::routes::catalogue::{SearchText, Sort, given};
use crate::routes::schema;
use domain::product::ProductStatus;
use domain::{Currency, Description, Money, Name, Sku, Slug, Text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A product as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductRequest {
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    pub(super) name: Name,
    /// Prose; may be empty.
    #[schema(value_type = String, max_length = 10_000)]
    pub(super) description: Description,
    /// A path on this host or an absolute URL.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    pub(super) picture: Option<Text>,
    /// Slugs, each once.
    #[schema(value_type = Vec<schema::Token>, max_items = 20)]
    pub(super) categories: Vec<Slug>,
    #[schema(min_items = 1, max_items = 100)]
    pub(super) variants: Vec<VariantRequest>,
}

/// A variant as it shall be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantRequest {
    /// Belongs to the first product that takes it, for ever.
    #[schema(value_type = schema::Token)]
    pub(super) sku: Sku,
    /// What tells it from its siblings, if there are any.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub(super) name: Option<Name>,
    /// For one piece.
    #[schema(value_type = schema::Money)]
    pub(super) price: Money,
}

/// Which products, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ProductListParams {
    /// Only those in this status.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<StatusParam>, inline)]
    pub(super) status: Option<ProductStatus>,
    /// A category's slug, case ignored. One that does not exist has no products.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<schema::Token>)]
    pub(super) category: Option<Slug>,
    /// Full-text, tolerant of typing errors.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<String>, max_length = 200)]
    pub(super) q: Option<SearchText>,
    /// Without it the best match comes first, or the lowest number when nothing is searched for.
    #[serde(default, deserialize_with = "given")]
    #[param(inline)]
    pub(super) sort: Option<Sort>,
    /// Only what is priced in this currency.
    #[serde(default, deserialize_with = "given")]
    #[param(value_type = Option<schema::Currency>)]
    pub(super) currency: Option<Currency>,
    /// How many items at most.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: Limit,
    /// The last page's `next_cursor`.
    pub(super) cursor: Option<String>,
}

/// How OpenAPI is told about [`ProductStatus`].
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProductStatus)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum StatusParam {
    Draft,
    Published,
    Retired,
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
