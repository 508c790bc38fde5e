//! What a plan's limits see of their tags.

use super::Bus;
use super::execute::LOOK_PATIENCE;
use super::load::LoadError;
use super::plan::Plan;
use crate::journal::Expectation;
use domain::Rejection;
use follow::position;

impl Bus {
    /// What the plan believes of its tags, and why it is refused, if it is. Asked again for every
    /// attempt; nothing in memory knows of tags.
    pub(super) async fn count_tags(
        &self,
        plan: &Plan,
    ) -> Result<(Vec<Expectation>, Vec<Box<dyn Rejection>>), LoadError> {
        let (mut expectations, mut refusals) = (vec![], vec![]);
        for limit in &plan.limits {
            // The newest so many of them tell what there is to know, however many there are.
            let asked = sqlx::query_as(
                "select count(*), coalesce(max(position), 0) from \
                 (select position from event_tags where tag = $1 \
                  order by position desc limit $2) newest",
            )
            .bind(limit.tag.to_string())
            .bind(i64::from(limit.most))
            .fetch_one(self.journal.pool());
            let late = || Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
            let answer = tokio::time::timeout(LOOK_PATIENCE, asked).await;
            let (count, last): (i64, i64) = answer.unwrap_or_else(|_| late())?;
            if count >= i64::from(limit.most) {
                refusals.push((limit.refusal)());
            }
            let after = position::read(last)?;
            expectations.push(Expectation::Untagged { tag: limit.tag.clone(), after });
        }
        Ok((expectations, refusals))
    }
}
