//! Lists: a bounded page and an opaque cursor to the next one.

use projections::Page;
use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use utoipa::ToSchema;

/// The most items of a page.
pub const MAX_LIMIT: u16 = 100;

/// The items of a page when the caller does not say.
pub const DEFAULT_LIMIT: u16 = 20;

/// How many items the caller wants: 1 to [`MAX_LIMIT`], [`DEFAULT_LIMIT`] by default. A member of
/// a route's parameters: `#[serde(default)] limit: Limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(inline, description = "How many items at most.", extend("minimum" = 1, "maximum" = MAX_LIMIT, "default" = DEFAULT_LIMIT))]
pub struct Limit(u16);

impl Limit {
    /// The number of items of a page.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = || format!("expected a number from 1 to {MAX_LIMIT}");
        let limit = u64::deserialize(deserializer).map_err(|_| de::Error::custom(expected()))?;
        match u16::try_from(limit) {
            Ok(limit @ 1..=MAX_LIMIT) => Ok(Self(limit)),
            _ => Err(de::Error::custom(expected())),
        }
    }
}

/// The longest cursor; ours are below.
const MAX_CURSOR_CHARS: usize = 4_096;

/// Where a page begins: what the one before it ended with. What it says is between a list and itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline, description = "The last page's `next_cursor`.", example = &"WyJub3RlYm9vayJd",
    extend("minLength" = 1, "maxLength" = MAX_CURSOR_CHARS))]
pub struct Cursor(String);

/// The list that gave it out reads it, and refuses what it did not.
impl Deref for Cursor {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The page as the read models take it.
impl From<Limit> for projections::Limit {
    fn from(limit: Limit) -> Self {
        Self::new(limit.0).expect("the read models give longer pages than the REST edge")
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> From<Page<T>> for List<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next_cursor }
    }
}

impl<T> List<T> {
    /// The same page with every item turned into what the caller sees.
    #[must_use]
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> List<U> {
        List { items: self.items.into_iter().map(view).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_page_is_never_longer_than_the_read_models_allow() {
        for limit in [1, DEFAULT_LIMIT, MAX_LIMIT] {
            assert_eq!(projections::Limit::from(Limit(limit)).get(), limit);
        }
        assert_eq!(projections::Limit::from(Limit::default()), projections::Limit::DEFAULT);
    }

    #[test]
    fn the_last_page_says_so() {
        let page = List { items: vec![1, 2], next_cursor: None }.map(|item| item * 10);
        let shown = serde_json::to_value(page).expect("a page is JSON");
        assert_eq!(shown, json!({"items": [10, 20], "next_cursor": null}));
    }
}
