//! What the shop sells: a product and its variants, each with a price.
//!
//! * A product is written as a draft, published, and retired; a retired one may come back.
//! * It has 1 to [`MAX_VARIANTS`] variants, one a SKU, each with a number of its own, and is listed
//!   in at most [`MAX_CATEGORIES`] categories, each once.
//! * A SKU keeps its number for as long as the product has it.
//! * It is published only when every variant has a price.
//! * Only what changed becomes an event: revising a product to what it is changes nothing.

mod decide;
mod events;
mod state;
#[cfg(test)]
mod tests;

pub use decide::{ProductCommand, ProductRejection};
pub use events::{ProductEvent, Variant};
pub use state::{MAX_CATEGORIES, MAX_VARIANTS, PricedVariant, Product, ProductStatus};
