use crate::http::{Cursor, Limit};
use domain::{Currency, Slug};
use schemars::JsonSchema;
use serde::de::value::StringDeserializer;
use serde::{Deserialize, Deserializer};

/// The longest text that is searched for; nobody types more.
pub(super) const MAX_SEARCH_CHARS: usize = 200;

/// The product's id, or a variant's number.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline, example = &"1")]
pub(super) struct Reference(pub(super) String);

/// Which products, in which order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProductListParams {
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

/// The orders that a list of products can have.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum Sort {
    /// By name, as languages sort, numbers in it by value.
    Name,
    /// The cheapest first, by the price in `currency`, else in the shop's first; what has none in it comes last.
    Price,
    /// The dearest first, by the same price; what has none comes last here, too.
    #[serde(rename = "-price")]
    PriceDescending,
    /// The last one created first.
    Newest,
}

/// What somebody looks for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SuggestParams {
    /// The beginning of it; an empty one suggests nothing.
    pub(super) q: SearchText,
}

/// A text to search for: at most [`MAX_SEARCH_CHARS`] characters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("maxLength" = MAX_SEARCH_CHARS))]
pub(in crate::routes) struct SearchText(pub(super) String);

impl TryFrom<String> for SearchText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() <= MAX_SEARCH_CHARS {
            Ok(Self(text))
        } else {
            Err(format!("expected at most {MAX_SEARCH_CHARS} characters"))
        }
    }
}

/// An empty parameter counts as none: a form sends all of its fields.
pub(in crate::routes) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    T::deserialize(StringDeserializer::new(text)).map(Some)
}
