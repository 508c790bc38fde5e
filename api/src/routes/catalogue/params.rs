use crate::http::Limit;
use crate::routes::schema;
use domain::{Currency, Slug};
use serde::de::value::StringDeserializer;
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

/// The longest text that is searched for; nobody types more.
pub(super) const MAX_SEARCH_CHARS: usize = 200;

/// Which products, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ProductListParams {
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
    // Schemas that only parameters name are not collected into the document.
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

/// The orders that a list of products can have.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::routes) enum Sort {
    /// By name.
    Name,
    /// The cheapest first.
    Price,
    /// The dearest first.
    #[serde(rename = "-price")]
    PriceDescending,
    /// The last one created first.
    Newest,
}

/// What somebody looks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SuggestParams {
    /// The beginning of it; an empty one suggests nothing.
    #[param(value_type = String, max_length = 200)]
    pub(super) q: SearchText,
}

/// A text to search for: at most [`MAX_SEARCH_CHARS`] characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
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
