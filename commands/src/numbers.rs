//! Small positive numbers for people and old clients, from sequences of the database.
//!
//! Unique, and growing within a process; not gap-free: a process takes a block at a time, and what
//! a refused command or a stopped process did not use is lost.

use sqlx::PgPool;
use std::collections::VecDeque;
use tokio::sync::Mutex;

/// Numbers taken at once: one round trip for this many orders.
const BLOCK: i32 = 32;

/// Gives out numbers of one kind.
pub struct Numbers {
    pool: PgPool,
    sequence: &'static str,
    block: Mutex<VecDeque<i32>>,
}

impl Numbers {
    /// Numbers of variants; 1 to 7 belong to the sample catalogue.
    #[must_use]
    pub fn of_variants(pool: PgPool) -> Self {
        Self::new(pool, "variant_numbers")
    }

    /// Numbers of users.
    #[must_use]
    pub fn of_users(pool: PgPool) -> Self {
        Self::new(pool, "user_numbers")
    }

    /// Numbers of orders.
    #[must_use]
    pub fn of_orders(pool: PgPool) -> Self {
        Self::new(pool, "order_numbers")
    }

    fn new(pool: PgPool, sequence: &'static str) -> Self {
        Self { pool, sequence, block: Mutex::new(VecDeque::new()) }
    }

    /// The next number.
    ///
    /// # Errors
    /// When the database does not answer, or two thousand million numbers are used up.
    pub async fn next(&self) -> Result<i32, sqlx::Error> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            let fresh: Vec<i32> = sqlx::query_scalar(
                "select nextval($1::regclass)::integer from generate_series(1, $2)",
            )
            .bind(self.sequence)
            .bind(BLOCK)
            .fetch_all(&self.pool)
            .await?;
            block.extend(fresh);
        }
        block.pop_front().ok_or(sqlx::Error::RowNotFound)
    }

    /// Gives up the block that was taken: after a fail-over that lost commits the sequence may have
    /// gone back, and others get the same numbers.
    pub async fn forget(&self) {
        self.block.lock().await.clear();
    }
}
