use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest cursor that is looked at; ours are below, even with the longest name in them.
const MAX_CURSOR_CHARS: usize = 4_096;

/// How many items one page holds: 1 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// What a list gives when nobody asks for more or less.
    pub const DEFAULT: Self = Self(20);
    /// The most that a REST list gives.
    pub const MAX: Self = Self(100);
    /// The most that any page holds; the clients of the old services ask for whole catalogues.
    pub const MAX_INTERNAL: Self = Self(500);

    /// Accepts 1 to [`Self::MAX_INTERNAL`]; the REST edge refuses more than [`Self::MAX`] itself.
    #[must_use]
    pub fn new(items: u16) -> Option<Self> {
        (1..=Self::MAX_INTERNAL.0).contains(&items).then_some(Self(items))
    }

    /// The number of items.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// One more than the page holds, to see whether there is a next page.
    pub(crate) fn look_ahead(self) -> i64 {
        i64::from(self.0) + 1
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the list's order; at most the limit.
    pub items: Vec<T>,
    /// Opaque; gives the next page when sent back with the same filter and order. None at the end.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts rows that were read with [`Limit::look_ahead`] down to a page, and makes the cursor
    /// from the last row on it: keyset paging, whose cost does not grow with the page's number.
    pub(crate) fn cut<C: Serialize>(
        mut rows: Vec<T>,
        limit: Limit,
        cursor: impl FnOnce(&T) -> C,
    ) -> Self {
        let full = usize::from(limit.get());
        let more = rows.len() > full;
        rows.truncate(full);
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(&cursor(last)));
        Self { items: rows, next_cursor }
    }

    pub(crate) fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next_cursor: self.next_cursor }
    }
}

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The cursor is not one that this list gave out for this order (the caller's fault).
    #[error("the cursor does not belong to this list")]
    InvalidCursor,
    /// The database could not answer; trying again may help.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn encode(cursor: &impl Serialize) -> String {
    let json = serde_json::to_vec(cursor).expect("cursors hold only numbers and text");
    URL_SAFE_NO_PAD.encode(json)
}

/// Reads a cursor back.
pub(crate) fn parse_cursor<C: DeserializeOwned>(
    cursor: Option<&str>,
) -> Result<Option<C>, QueryError> {
    let Some(text) = cursor else { return Ok(None) };
    if text.len() > MAX_CURSOR_CHARS {
        return Err(QueryError::InvalidCursor);
    }
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| QueryError::InvalidCursor)?;
    // PostgreSQL has no NUL in text; a cursor of ours never holds one.
    if json.windows(6).any(|escape| escape == br"\u0000") {
        return Err(QueryError::InvalidCursor);
    }
    serde_json::from_slice(&json).map(Some).map_err(|_| QueryError::InvalidCursor)
}
