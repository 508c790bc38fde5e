use super::{ProductCommand, ProductEvent, ProductRejection, Variant};
use crate::{Facts, Identified, Money, Name, ProductId, Sku, Slug, Text};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most variants of one product.
pub const MAX_VARIANTS: usize = 100;

/// The most categories that one product is listed in.
pub const MAX_CATEGORIES: usize = 20;

/// A product's state. `Default` is a product that does not exist yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// What it is called; absent before it was created.
    pub name: Option<Name>,
    /// Prose for the customer; may be empty.
    pub description: String,
    /// Where its picture is: a path on our host or an absolute URL.
    pub picture: Option<Text>,
    /// The categories that it is listed in.
    pub categories: Vec<Slug>,
    /// Its variants in the order in which they were given.
    pub variants: Vec<PricedVariant>,
    /// Whether it is on sale.
    pub status: ProductStatus,
}

/// A variant and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedVariant {
    /// SKU, number and name.
    pub variant: Variant,
    /// For one piece; absent until it was priced.
    pub price: Option<Money>,
}

/// Whether a product is on sale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// Not on sale yet.
    #[default]
    Draft,
    /// On sale.
    Published,
    /// No longer on sale.
    Retired,
}

impl ProductStatus {
    /// The word for it in JSON and SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Retired => "retired",
        }
    }
}

impl Product {
    /// Whether it was ever created.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.name.is_some()
    }

    /// The variant of `sku`, if the product has it now.
    #[must_use]
    pub fn variant(&self, sku: &Sku) -> Option<&PricedVariant> {
        self.variants.iter().find(|priced| priced.variant.sku == *sku)
    }

    /// What one piece of `sku` costs, if the product has it and it is priced.
    #[must_use]
    pub fn price(&self, sku: &Sku) -> Option<Money> {
        self.variant(sku)?.price
    }

    /// Takes over a new set of variants; a SKU that stays keeps its price.
    fn replace_variants(&mut self, variants: Vec<Variant>) {
        self.variants = variants
            .into_iter()
            .map(|variant| PricedVariant { price: self.price(&variant.sku), variant })
            .collect();
    }
}

impl Identified for Product {
    type Id = ProductId;
}

impl Aggregate for Product {
    const TYPE: &'static str = "product";
    type Command = ProductCommand;
    type Event = ProductEvent;
    type Error = ProductRejection;
    type Services = Facts;

    async fn handle(
        &mut self,
        command: ProductCommand,
        facts: &Facts,
        sink: &EventSink<Self>,
    ) -> Result<(), ProductRejection> {
        for event in self.decide(command, facts)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: ProductEvent) {
        match event {
            ProductEvent::ProductCreated { name, description, picture, categories, variants }
            | ProductEvent::ProductRevised { name, description, picture, categories, variants } => {
                self.name = Some(name);
                self.description = description;
                self.picture = picture;
                self.categories = categories;
                self.replace_variants(variants);
            }
            ProductEvent::ProductPriced { sku, price } => {
                let priced = self.variants.iter_mut().find(|priced| priced.variant.sku == sku);
                if let Some(priced) = priced {
                    priced.price = Some(price);
                }
            }
            ProductEvent::ProductPublished {} => self.status = ProductStatus::Published,
            ProductEvent::ProductRetired {} => self.status = ProductStatus::Retired,
        }
    }
}
