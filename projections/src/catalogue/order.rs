//! The orders that a list of products can have, in SQL's terms, and where a page of each ended.

use super::collate::SortKey;
use super::list::{ProductFilter, ProductSort};
use super::query::Listed;
use domain::{Currency, Position, ProductId};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};

/// Where a page ended. The kind of key tells for which order it was given out.
#[derive(Serialize, Deserialize)]
pub(super) struct Cursor {
    key: Key,
    number: i32,
    product_id: ProductId,
}

/// A key that is made otherwise than before has another name, so that a cursor of an older build is refused.
#[derive(Serialize, Deserialize)]
enum Key {
    Rank(f32),
    Number,
    Collated(SortKey),
    /// None behind what has a price.
    Cheapest(Currency, Option<i64>),
    Dearest(Currency, Option<i64>),
    Age(Position),
}

/// The order. One by price is read in two parts, each off an index: what has a price in the currency, and behind it
/// what has none.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Rank,
    Number,
    Name,
    Age,
    Price(Direction, Currency),
    Priceless(Direction, Currency),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

impl Order {
    pub(super) fn of(sort: ProductSort, has_text: bool) -> Self {
        match sort {
            ProductSort::Relevance if has_text => Self::Rank,
            ProductSort::Relevance | ProductSort::Number => Self::Number,
            ProductSort::Name => Self::Name,
            ProductSort::Price(currency) => Self::Price(Direction::Up, currency),
            ProductSort::PriceDescending(currency) => Self::Price(Direction::Down, currency),
            ProductSort::Newest => Self::Age,
        }
    }

    /// What comes behind this part of an order, if something can.
    pub(super) fn next(self, filter: &ProductFilter) -> Option<Self> {
        match self {
            Self::Price(direction, currency) if filter.currency != Some(currency) => {
                Some(Self::Priceless(direction, currency))
            }
            _ => None,
        }
    }

    /// The currency of the prices that this is read off.
    pub(super) fn priced_in(self) -> Option<Currency> {
        match self {
            Self::Price(_, currency) => Some(currency),
            Self::Rank | Self::Number | Self::Name | Self::Age | Self::Priceless(..) => None,
        }
    }

    /// The currency that has no price in this.
    pub(super) fn priceless_in(self) -> Option<Currency> {
        match self {
            Self::Priceless(_, currency) => Some(currency),
            Self::Rank | Self::Number | Self::Name | Self::Age | Self::Price(..) => None,
        }
    }

    /// What belongs to this part; `without` are the sets of currencies of what has no price.
    pub(super) fn push_condition(
        self,
        query: &mut QueryBuilder<'_, Postgres>,
        filter: &ProductFilter,
        without: Vec<String>,
    ) {
        match self {
            Self::Price(_, currency) => {
                query.push(" and m.currency = ").push_bind(currency.as_str().to_owned());
                if let Some(status) = filter.status {
                    query.push(" and m.status = ").push_bind(status.as_str());
                }
            }
            Self::Priceless(..) => {
                query.push(" and p.currencies = any(").push_bind(without).push(")");
            }
            Self::Rank | Self::Number | Self::Name | Self::Age => {}
        }
    }

    pub(super) fn order_by(self) -> &'static str {
        match self {
            Self::Rank => " order by rank desc, p.number, p.product_id",
            Self::Number | Self::Priceless(..) => " order by p.number, p.product_id",
            Self::Name => " order by p.name_key, p.number, p.product_id",
            Self::Price(Direction::Up, _) => " order by m.price_minor, m.number, m.product_id",
            Self::Price(Direction::Down, _) => {
                " order by m.price_minor desc, m.number, m.product_id"
            }
            Self::Age => " order by p.created_position desc, p.number, p.product_id",
        }
    }

    /// The same of the page, once it is read.
    pub(super) fn order_of_page(self) -> &'static str {
        match self {
            Self::Price(Direction::Up, _) => " order by p.price_minor, p.number, p.product_id",
            Self::Price(Direction::Down, _) => {
                " order by p.price_minor desc, p.number, p.product_id"
            }
            Self::Rank | Self::Number | Self::Name | Self::Age | Self::Priceless(..) => {
                self.order_by()
            }
        }
    }

    pub(super) fn cursor(self, last: &Listed) -> Cursor {
        let key = match self {
            Self::Rank => Key::Rank(last.rank),
            Self::Number => Key::Number,
            Self::Name => Key::Collated(last.name_key.clone()),
            Self::Age => Key::Age(last.created_position),
            Self::Price(Direction::Up, currency) | Self::Priceless(Direction::Up, currency) => {
                Key::Cheapest(currency, last.price_minor)
            }
            Self::Price(Direction::Down, currency) | Self::Priceless(Direction::Down, currency) => {
                Key::Dearest(currency, last.price_minor)
            }
        };
        Cursor { key, number: last.product.number, product_id: last.product.product_id }
    }

    /// Whether a page of this part of an order ended there.
    pub(super) fn gave_out(self, cursor: &Cursor) -> bool {
        match (self, &cursor.key) {
            (Self::Rank, Key::Rank(_))
            | (Self::Number, Key::Number)
            | (Self::Name, Key::Collated(_))
            | (Self::Age, Key::Age(_)) => true,
            (Self::Price(direction, currency), Key::Cheapest(of, Some(_))) => {
                direction == Direction::Up && currency == *of
            }
            (Self::Priceless(direction, currency), Key::Cheapest(of, None)) => {
                direction == Direction::Up && currency == *of
            }
            (Self::Price(direction, currency), Key::Dearest(of, Some(_))) => {
                direction == Direction::Down && currency == *of
            }
            (Self::Priceless(direction, currency), Key::Dearest(of, None)) => {
                direction == Direction::Down && currency == *of
            }
            _ => false,
        }
    }

    /// Only rows that come after a cursor that this part gave out.
    pub(super) fn push_after(self, query: &mut QueryBuilder<'_, Postgres>, cursor: Cursor) {
        let tie = (cursor.number, cursor.product_id);
        match cursor.key {
            Key::Rank(rank) => push_descending(query, "ts_rank(p.document, q.query)", rank, tie),
            Key::Number | Key::Cheapest(_, None) | Key::Dearest(_, None) => {
                query.push(" and (p.number, p.product_id) > (");
                query.push_bind(tie.0).push(", ").push_bind(tie.1.uuid()).push(")");
            }
            Key::Collated(name) => {
                push_ascending(query, ["p.name_key", "p"], name.into_bytes(), tie);
            }
            Key::Cheapest(_, Some(price)) => {
                push_ascending(query, ["m.price_minor", "m"], price, tie);
            }
            Key::Dearest(_, Some(price)) => push_descending(query, "m.price_minor", price, tie),
            Key::Age(position) => {
                push_descending(query, "p.created_position", position.bigint(), tie);
            }
        }
    }
}

fn push_ascending<'q, T>(
    query: &mut QueryBuilder<'q, Postgres>,
    [column, table]: [&str; 2],
    value: T,
    (number, product_id): (i32, ProductId),
) where
    T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Send + 'q,
{
    query.push(format!(" and ({column}, {table}.number, {table}.product_id) > ("));
    query.push_bind(value).push(", ").push_bind(number);
    query.push(", ").push_bind(product_id.uuid()).push(")");
}

/// The key falls while the number breaks ties upwards, so one row comparison cannot say it. The first condition lets
/// an index begin where the page does.
fn push_descending<'q, T>(
    query: &mut QueryBuilder<'q, Postgres>,
    column: &str,
    value: T,
    (number, product_id): (i32, ProductId),
) where
    T: sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + Copy + Send + 'q,
{
    query.push(format!(" and {column} <= ")).push_bind(value);
    query.push(format!(" and ({column} < ")).push_bind(value);
    query.push(" or (p.number, p.product_id) > (").push_bind(number);
    query.push(", ").push_bind(product_id.uuid()).push("))");
}
