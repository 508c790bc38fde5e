use super::events::each_once;
use super::state::{MAX_CATEGORIES, MAX_VARIANTS};
use super::{Product, ProductEvent, ProductStatus, Variant};
use crate::{Description, Facts, Money, Name, Rejection, RejectionKind, Sku, Slug, Text};
use serde_json::{Value, json};

/// What can be asked of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProductCommand {
    /// Write a draft with its prices.
    Create {
        /// What it is called.
        name: Name,
        /// Prose for the customer.
        description: Description,
        /// Where its picture is.
        picture: Option<Text>,
        /// The categories that it is listed in.
        categories: Vec<Slug>,
        /// Its variants, each with the price of one piece.
        variants: Vec<(Variant, Money)>,
    },
    /// Make it exactly this; a variant that is missing is no longer sold.
    Revise {
        /// As in `Create`.
        name: Name,
        /// As in `Create`.
        description: Description,
        /// As in `Create`.
        picture: Option<Text>,
        /// As in `Create`.
        categories: Vec<Slug>,
        /// As in `Create`; the number of a SKU that the product has already is not looked at.
        variants: Vec<(Variant, Money)>,
    },
    /// Put it on sale.
    Publish,
    /// Take it off sale.
    Retire,
}

/// Why a product refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductRejection {
    /// It was never created.
    #[error("there is no such product")]
    NotFound,
    /// It was created before.
    #[error("the product exists already")]
    AlreadyExists,
    /// None, or too many variants.
    #[error("a product has 1 to {MAX_VARIANTS} variants")]
    VariantsOutOfRange,
    /// Too many categories.
    #[error("a product is listed in at most {MAX_CATEGORIES} categories")]
    TooManyCategories,
    /// Two variants share a SKU.
    #[error("the SKU {sku} is given twice")]
    DuplicateSku {
        /// The first one that is.
        sku: Sku,
    },
    /// Two variants share a number, or one is not positive.
    #[error("the number {number} is given twice or is not positive")]
    BadNumber {
        /// The first such number.
        number: i32,
    },
    /// A variant has no price, so it cannot be on sale.
    #[error("the variant {sku} has no price")]
    HasNoPrice {
        /// The first such variant.
        sku: Sku,
    },
}

impl Rejection for ProductRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "product_exists",
            Self::VariantsOutOfRange => "variants_out_of_range",
            Self::TooManyCategories => "too_many_categories",
            Self::DuplicateSku { .. } => "duplicate_sku",
            Self::BadNumber { .. } => "bad_number",
            Self::HasNoPrice { .. } => "product_has_no_price",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::NotFound => RejectionKind::Absent,
            Self::AlreadyExists | Self::HasNoPrice { .. } => RejectionKind::Conflict,
            Self::VariantsOutOfRange
            | Self::TooManyCategories
            | Self::DuplicateSku { .. }
            | Self::BadNumber { .. } => RejectionKind::Invalid,
        }
    }

    fn extra(&self) -> Option<Value> {
        match self {
            Self::DuplicateSku { sku } | Self::HasNoPrice { sku } => Some(json!({ "sku": sku })),
            Self::BadNumber { number } => Some(json!({ "number": number })),
            Self::NotFound
            | Self::AlreadyExists
            | Self::VariantsOutOfRange
            | Self::TooManyCategories => None,
        }
    }
}

impl Product {
    /// Decides; see the module's rules. An empty list means "already so".
    ///
    /// # Errors
    /// [`ProductRejection`] when a rule forbids it.
    pub fn decide(
        &self,
        command: ProductCommand,
        _facts: &Facts,
    ) -> Result<Vec<ProductEvent>, ProductRejection> {
        if !self.exists() && !matches!(command, ProductCommand::Create { .. }) {
            return Err(ProductRejection::NotFound);
        }
        match command {
            ProductCommand::Create { name, description, picture, categories, variants } => {
                if self.exists() {
                    return Err(ProductRejection::AlreadyExists);
                }
                let categories = each_once(categories);
                self.check_lists(&categories, &variants)?;
                let (variants, prices) = split(variants);
                let description = description.to_string();
                let created = ProductEvent::ProductCreated {
                    name,
                    description,
                    picture,
                    categories,
                    variants,
                };
                Ok([created].into_iter().chain(prices.into_iter().map(priced)).collect())
            }
            ProductCommand::Revise { name, description, picture, categories, mut variants } => {
                for (variant, _) in &mut variants {
                    if let Some(held) = self.variant(&variant.sku) {
                        variant.number = held.variant.number;
                    }
                }
                let categories = each_once(categories);
                self.check_lists(&categories, &variants)?;
                let (variants, mut prices) = split(variants);
                prices.retain(|(sku, price)| self.price(sku) != Some(*price));
                let same = self.name.as_ref() == Some(&name)
                    && self.description == description.as_str()
                    && self.picture == picture
                    && self.categories == categories
                    && self.variants.iter().map(|held| &held.variant).eq(&variants);
                let revised = (!same).then(|| ProductEvent::ProductRevised {
                    name,
                    description: description.to_string(),
                    picture,
                    categories,
                    variants,
                });
                Ok(revised.into_iter().chain(prices.into_iter().map(priced)).collect())
            }
            ProductCommand::Publish => {
                if let Some(unpriced) = self.variants.iter().find(|held| held.price.is_none()) {
                    return Err(ProductRejection::HasNoPrice { sku: unpriced.variant.sku.clone() });
                }
                Ok(match self.status {
                    ProductStatus::Published => vec![],
                    ProductStatus::Draft | ProductStatus::Retired => {
                        vec![ProductEvent::ProductPublished {}]
                    }
                })
            }
            ProductCommand::Retire => Ok(match self.status {
                ProductStatus::Retired => vec![],
                ProductStatus::Draft | ProductStatus::Published => {
                    vec![ProductEvent::ProductRetired {}]
                }
            }),
        }
    }

    fn check_lists(
        &self,
        categories: &[Slug],
        variants: &[(Variant, Money)],
    ) -> Result<(), ProductRejection> {
        if !(1..=MAX_VARIANTS).contains(&variants.len()) {
            return Err(ProductRejection::VariantsOutOfRange);
        }
        if categories.len() > MAX_CATEGORIES {
            return Err(ProductRejection::TooManyCategories);
        }
        for (index, (variant, _)) in variants.iter().enumerate() {
            let mut earlier = variants[..index].iter().map(|(earlier, _)| earlier);
            if earlier.clone().any(|earlier| self.are_one(&earlier.sku, &variant.sku)) {
                return Err(ProductRejection::DuplicateSku { sku: variant.sku.clone() });
            }
            if variant.number < 1 || earlier.any(|earlier| earlier.number == variant.number) {
                return Err(ProductRejection::BadNumber { number: variant.number });
            }
        }
        Ok(())
    }

    /// Whether two SKUs may not both be of this product. Those that it was given when they could differ in case only stay.
    fn are_one(&self, one: &Sku, other: &Sku) -> bool {
        let both_held = || self.variant(one).is_some() && self.variant(other).is_some();
        one == other || (one.is_same(other) && !both_held())
    }
}

fn split(variants: Vec<(Variant, Money)>) -> (Vec<Variant>, Vec<(Sku, Money)>) {
    variants
        .into_iter()
        .map(|(variant, price)| {
            let sku = variant.sku.clone();
            (variant, (sku, price))
        })
        .unzip()
}

fn priced((sku, price): (Sku, Money)) -> ProductEvent {
    ProductEvent::ProductPriced { sku, price }
}
