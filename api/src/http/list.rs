//! Lists: a bounded page and an opaque cursor to the next one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// The most items of a page.
pub const MAX_LIMIT: u32 = 100;

/// The items of a page when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 20;

/// The longest cursor that is looked at; ours are far shorter.
const MAX_CURSOR_CHARS: usize = 1024;

/// How many items the caller wants: 1 to [`MAX_LIMIT`], [`DEFAULT_LIMIT`] by default. A member of
/// a route's parameters: `#[serde(default)] limit: Limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 100, default = 20)]
pub struct Limit(u32);

impl Limit {
    /// The number of items of a page.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The number of rows to ask for: one more than a page, which tells whether there is a next.
    #[must_use]
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = u32::deserialize(deserializer)?;
        if (1..=MAX_LIMIT).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(de::Error::custom(format_args!("expected a number from 1 to {MAX_LIMIT}")))
        }
    }
}

/// Where the last page ended: the sort key `K` of its last item, opaque to the caller. A member of
/// a route's parameters: `cursor: Option<Cursor<K>>`.
///
/// `K` should say for which order it is meant where a list has several; it is data from outside
/// and is read as strictly as a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<K>(
    /// The sort key.
    pub K,
);

impl<K: Serialize> Cursor<K> {
    fn encode(&self) -> Result<String, serde_json::Error> {
        Ok(BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&self.0)?))
    }
}

impl<K: Serialize> Serialize for Cursor<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode().map_err(serde::ser::Error::custom)?)
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let foreign = || de::Error::custom("expected a next_cursor of this list");
        if text.len() > MAX_CURSOR_CHARS {
            return Err(foreign());
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| foreign())?;
        let tree = super::json::parse(&bytes).map_err(|_| foreign())?;
        super::decode::from_json(&tree).map(Self).map_err(|_| foreign())
    }
}

impl<K> utoipa::PartialSchema for Cursor<K> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

impl<K> ToSchema for Cursor<K> {}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> List<T> {
    /// Makes a page of the rows that were read with [`Limit::rows`]: the surplus row is dropped and
    /// its predecessor's `key` becomes the cursor.
    ///
    /// # Errors
    /// When a key does not serialize, which plain data always does.
    pub fn page<K: Serialize>(
        mut rows: Vec<T>,
        limit: Limit,
        key: impl FnOnce(&T) -> K,
    ) -> Result<Self, serde_json::Error> {
        let page_size = limit.get() as usize;
        let has_next = rows.len() > page_size;
        rows.truncate(page_size);
        let last = rows.last().filter(|_| has_next);
        let next_cursor = last.map(|row| Cursor(key(row)).encode()).transpose()?;
        Ok(Self { items: rows, next_cursor })
    }

    /// The same page with every item turned into what the caller sees.
    #[must_use]
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> List<U> {
        List { items: self.items.into_iter().map(view).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
