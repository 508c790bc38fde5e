//! What a plan's limits see of their tags.

use super::Bus;
use super::execute::LOOK_PATIENCE;
use super::load::LoadError;
use super::plan::{Counts, Plan};
use crate::journal::Expectation;
use domain::{Rejection, Tag};
use follow::position;
use sqlx::PgPool;
use std::time::Duration;

/// How many of the newest orders of a tag are looked at, for each that may be open: who pays is not counted, and
/// whoever pays so many within [`OPEN_FOR`] is no attacker.
const LOOKED_AT_FOR_EACH: u32 = 2;

/// After that an order is not counted that still waits: it should have been cancelled a while ago, and what it
/// waits for is its payment's end. So long one is counted that required no payment, too: it costs as little to place,
/// and sends a mail as well.
const OPEN_FOR: Duration = Duration::from_secs(20 * 60);

impl Bus {
    /// What the plan believes of its tags, and why it is refused, if it is. Asked again for every
    /// attempt; nothing in memory knows of tags.
    pub(super) async fn count_tags(
        &self,
        plan: &Plan,
    ) -> Result<(Vec<Expectation>, Vec<Box<dyn Rejection>>), LoadError> {
        let (mut expectations, mut refusals) = (vec![], vec![]);
        for limit in &plan.limits {
            let (pool, tag, most) = (self.journal.pool(), &limit.tag, limit.most);
            let counted = async {
                match limit.counts {
                    Counts::All => newest(pool, tag, most).await,
                    Counts::OpenOrders => open_orders(pool, tag, most).await,
                }
            };
            let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
            let answer = tokio::time::timeout(LOOK_PATIENCE, counted).await;
            let (count, last) = answer.unwrap_or_else(|_| late())?;
            if count >= i64::from(limit.most) {
                refusals.push((limit.refusal)());
            }
            let after = position::read(last)?;
            expectations.push(Expectation::Untagged { tag: limit.tag.clone(), after });
        }
        Ok((expectations, refusals))
    }
}

/// How many of the newest so many events with a tag there are, and where the last stands: that tells what there is to
/// know, however many there are.
async fn newest(pool: &PgPool, tag: &Tag, most: u32) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select count(*), coalesce(max(position), 0) from \
         (select position from event_tags where tag = $1 \
          order by position desc limit $2) newest",
    )
    .bind(tag.to_string())
    .bind(i64::from(most))
    .fetch_one(pool)
    .await
}

/// How many of the newest orders with a tag wait for their money, and where the last of all stands.
async fn open_orders(pool: &PgPool, tag: &Tag, most: u32) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select count(*) filter (where is_open), coalesce(max(position), 0) from \
         (select t.position, \
                 o.recorded_at > now() - make_interval(secs => $3) and not exists \
                   (select from events e where e.aggregate_type = 'order' \
                       and e.aggregate_id = o.aggregate_id \
                       and e.event_type in ('OrderPaid', 'OrderCancelled')) as is_open \
            from event_tags t join events o on o.position = t.position \
           where t.tag = $1 order by t.position desc limit $2) newest",
    )
    .bind(tag.to_string())
    .bind(i64::from(most.saturating_mul(LOOKED_AT_FOR_EACH)))
    .bind(OPEN_FOR.as_secs_f64())
    .fetch_one(pool)
    .await
}

impl Bus {
    /// How many orders with the tag wait for their money, as it was a moment ago: nothing expects that it stays so.
    ///
    /// # Errors
    /// When the journal cannot be read in time.
    pub async fn open_orders(&self, tag: &Tag, most: u32) -> Result<u32, LoadError> {
        let counted = open_orders(self.journal.pool(), tag, most);
        let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        let answer = tokio::time::timeout(LOOK_PATIENCE, counted).await;
        let (count, _) = answer.unwrap_or_else(|_| late())?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
