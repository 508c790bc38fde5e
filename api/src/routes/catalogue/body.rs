use crate::http::Problem;
use crate::openapi::schema::answers;
use domain::product::{Product, ProductStatus};
use domain::{Money, Name, Position, ProductId, Sku, Slug, Text};
use projections::catalogue::{CategoryView, ProductView, VariantView};
use schemars::JsonSchema;
use serde::Serialize;
use utoipa::ToSchema;

answers!(ProductBody, CategoryBody);

/// A product.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::routes) struct ProductBody {
    pub(super) id: ProductId,
    /// Its first variant's number.
    #[schemars(range(min = 1))]
    pub(super) number: i32,
    pub(super) name: Name,
    /// Prose; may be empty.
    pub(super) description: String,
    /// A path on this host or an absolute URL.
    pub(super) picture: Option<Text>,
    /// Slugs.
    pub(super) categories: Vec<Slug>,
    /// `draft` (seen by staff only), `published` or `retired`.
    pub(super) status: ProductStatus,
    /// At least one.
    pub(super) variants: Vec<VariantBody>,
    pub(super) version: u64,
}

/// One thing that can be put into a cart.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct VariantBody {
    pub(super) sku: Sku,
    /// A small positive number for people and old clients.
    #[schemars(range(min = 1))]
    pub(super) number: i32,
    /// What tells it from its siblings, if there are any.
    pub(super) name: Option<Name>,
    /// For one piece; null only while the product is a draft.
    pub(super) price: Option<Money>,
    /// Pieces that can be sold now.
    pub(super) available: u64,
}

/// A category.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CategoryBody {
    pub(super) slug: Slug,
    pub(super) name: String,
    /// Published products.
    pub(super) product_count: u64,
}

/// All of a short list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Items<T> {
    pub(super) items: Vec<T>,
}

impl From<ProductView> for ProductBody {
    fn from(view: ProductView) -> Self {
        Self {
            id: view.product_id,
            number: view.number,
            name: view.name,
            description: view.description,
            picture: view.picture,
            categories: view.categories,
            status: view.status,
            variants: view.variants.into_iter().map(VariantBody::from).collect(),
            version: view.version,
        }
    }
}

impl From<VariantView> for VariantBody {
    fn from(view: VariantView) -> Self {
        let VariantView { sku, number, name, price, available } = view;
        Self { sku, number, name, price, available }
    }
}

impl From<CategoryView> for CategoryBody {
    fn from(view: CategoryView) -> Self {
        let CategoryView { slug, name, product_count } = view;
        Self { slug, name, product_count }
    }
}

impl ProductBody {
    /// The product as a command left it, for an answer that waits for no read model. How many
    /// pieces of a SKU can be sold is another aggregate's business, so the caller says.
    pub(in crate::routes) fn from_aggregate(
        product_id: ProductId,
        product: &Product,
        version: u64,
        available: impl Fn(&Sku) -> u64,
    ) -> Result<Self, Problem> {
        let view = ProductView::of(product_id, product, available, version, Position::START);
        view.map(Self::from).ok_or_else(Problem::not_found)
    }
}
