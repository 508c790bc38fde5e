use crate::{Money, Name, Sku, Slug, Text, event_types};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeSet;

/// One thing that can be put into a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    /// Unique in the shop, for ever.
    pub sku: Sku,
    /// A small positive number for people and old clients; unique among variants.
    pub number: i32,
    /// What tells it from its siblings ("blue, XL"), if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

/// Facts about a product. The stream's id is the product's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProductEvent {
    /// A draft was written; it is not on sale before it is published.
    ProductCreated {
        /// What it is called.
        name: Name,
        /// Prose for the customer; may be empty.
        description: String,
        /// Where its picture is: a path on our host or an absolute URL.
        picture: Option<Text>,
        /// The categories that it is listed in.
        #[serde(deserialize_with = "read_each_once")]
        categories: Vec<Slug>,
        /// At least one.
        variants: Vec<Variant>,
    },
    /// Its description or its set of variants changed; everything is given anew.
    ProductRevised {
        /// As in `ProductCreated`.
        name: Name,
        /// As in `ProductCreated`.
        description: String,
        /// As in `ProductCreated`.
        picture: Option<Text>,
        /// As in `ProductCreated`.
        #[serde(deserialize_with = "read_each_once")]
        categories: Vec<Slug>,
        /// As in `ProductCreated`; a variant that is missing is no longer sold.
        variants: Vec<Variant>,
    },
    /// One of its variants has this price from now on.
    ProductPriced {
        /// The variant.
        sku: Sku,
        /// For one piece.
        price: Money,
    },
    /// It is on sale.
    ProductPublished {},
    /// It is no longer on sale; orders keep showing it.
    ProductRetired {},
}

event_types!(ProductEvent {
    ProductCreated: 1,
    ProductRevised: 1,
    ProductPriced: 1,
    ProductPublished: 1,
    ProductRetired: 1,
});

/// Categories, each once: events of before may hold one in two cases.
fn read_each_once<'de, D: Deserializer<'de>>(format: D) -> Result<Vec<Slug>, D::Error> {
    Vec::deserialize(format).map(each_once)
}

/// Each category where it is named first.
pub(super) fn each_once(mut categories: Vec<Slug>) -> Vec<Slug> {
    let mut seen = BTreeSet::new();
    categories.retain(|category| seen.insert(category.clone()));
    categories
}
