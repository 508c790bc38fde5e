//! Tables as Rust values: loaded once a batch, folded in memory, written once a batch.
//!
//! A row crosses the wire as JSON in both directions, so one serde type is its only mapping and a
//! batch of any size is one parameter of one statement.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// A type whose serde fields are the columns of a table.
pub(crate) trait Row: Serialize + DeserializeOwned + Send + Sync + Unpin + 'static {
    /// The primary key.
    type Key: Ord + Clone + Display + Send + Sync;

    /// The table, without a schema.
    const TABLE: &'static str;
    /// The primary key's column and SQL type.
    const KEY: (&'static str, &'static str);
    /// All columns that are written, separated by `, `.
    const COLUMNS: &'static str;

    /// The row's key.
    fn key(&self) -> Self::Key;
}

/// The rows that a batch of events may touch.
pub(crate) struct Rows<R: Row> {
    rows: BTreeMap<R::Key, R>,
    /// Written or removed since they were loaded. Ordered, so that all workers lock alike.
    touched: BTreeSet<R::Key>,
}

impl<R: Row> Rows<R> {
    /// Nothing loaded: for rows that are only ever written whole or removed.
    pub(crate) fn new() -> Self {
        Self { rows: BTreeMap::new(), touched: BTreeSet::new() }
    }

    /// Loads the rows with these keys, as far as they exist.
    pub(crate) async fn load(
        conn: &mut PgConnection,
        keys: &BTreeSet<R::Key>,
    ) -> Result<Self, sqlx::Error> {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        Self::load_by(conn, R::KEY, keys).await
    }

    /// Loads the rows that have one of these values in a column of the given SQL type.
    pub(crate) async fn load_by(
        conn: &mut PgConnection,
        (column, sql_type): (&str, &str),
        values: Vec<String>,
    ) -> Result<Self, sqlx::Error> {
        let (table, columns) = (R::TABLE, R::COLUMNS);
        let mut rows = BTreeMap::new();
        if !values.is_empty() {
            let select = format!(
                "select row_to_json(r) from (select {columns} from {table} \
                 where {column} = any($1::text[]::{sql_type}[])) r"
            );
            let found: Vec<Json<R>> =
                sqlx::query_scalar(&select).bind(values).fetch_all(conn).await?;
            rows.extend(found.into_iter().map(|Json(row)| (row.key(), row)));
        }
        Ok(Self { rows, ..Self::new() })
    }

    pub(crate) fn get(&self, key: &R::Key) -> Option<&R> {
        self.rows.get(key)
    }

    /// The row to change; it will be written.
    pub(crate) fn get_mut(&mut self, key: &R::Key) -> Option<&mut R> {
        let row = self.rows.get_mut(key)?;
        self.touched.insert(key.clone());
        Some(row)
    }

    /// Adds the row, or replaces the one with the same key.
    pub(crate) fn put(&mut self, row: R) {
        self.touched.insert(row.key());
        self.rows.insert(row.key(), row);
    }

    /// Takes the row away, if it is there.
    pub(crate) fn remove(&mut self, key: &R::Key) {
        self.touched.insert(key.clone());
        self.rows.remove(key);
    }

    /// All rows, those that were only loaded too.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.rows.values()
    }

    /// Writes what was touched: at most two statements.
    pub(crate) async fn save(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (table, columns, (key, key_type)) = (R::TABLE, R::COLUMNS, R::KEY);
        let (written, removed): (Vec<_>, Vec<_>) =
            self.touched.iter().partition(|key| self.rows.contains_key(key));
        if !removed.is_empty() {
            let removed: Vec<String> = removed.into_iter().map(ToString::to_string).collect();
            let delete = format!("delete from {table} where {key} = any($1::text[]::{key_type}[])");
            sqlx::query(&delete).bind(removed).execute(&mut *conn).await?;
        }
        if !written.is_empty() {
            let rows: Vec<&R> = written.into_iter().filter_map(|key| self.rows.get(key)).collect();
            let updates: Vec<String> = columns
                .split(", ")
                .filter(|column| *column != key)
                .map(|column| format!("{column} = excluded.{column}"))
                .collect();
            let upsert = format!(
                "insert into {table} ({columns}) \
                 select {columns} from jsonb_populate_recordset(null::{table}, $1) \
                 on conflict ({key}) do update set {}",
                updates.join(", ")
            );
            sqlx::query(&upsert).bind(Json(rows)).execute(conn).await?;
        }
        Ok(())
    }
}
