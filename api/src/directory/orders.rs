//! Mails about orders.

use super::boxed;
use commands::bus::FingerprintKey;
use commands::vault::Vault;
use domain::order::Order;
use domain::user::User;
use domain::{Identified, OrderId, Position, StreamKey, UserId};
use nats::notify::{DirectoryError, OrderMail};
use projections::{Checkpoints, dead_letters, orders, users};
use sqlx::PgPool;
use std::time::Duration;

/// How long a mail waits for the read models; the event is delivered again afterwards.
const WAIT: Duration = Duration::from_secs(5);

/// The read models and the vault.
pub struct OrderDirectory {
    /// For reading the read models.
    pub pool: PgPool,
    /// How far they are.
    pub checkpoints: Checkpoints,
    /// Opens the contact.
    pub vault: Vault,
    /// What recipients have pseudonyms from.
    pub pseudonyms: FingerprintKey,
}

/// What they have them for.
const RECIPIENT: &str = "recipient of mails";

impl OrderDirectory {
    /// Whose order it is, and see [`nats::notify::Directory::order_mail`].
    pub(super) async fn order_mail(
        &self,
        order_id: OrderId,
        position: Position,
    ) -> Result<Option<(UserId, OrderMail)>, DirectoryError> {
        for projection in [orders::NAME, users::NAME] {
            self.checkpoints.wait_for(projection, position, WAIT).await.map_err(boxed)?;
        }
        self.is_applied::<Order>(orders::NAME, &order_id).await?;
        let order = orders::by_id(&self.pool, order_id).await.map_err(boxed)?;
        let Some(order) = order else { return Ok(None) };
        let contact = self.vault.open(order.customer_id, &order.contact).await.map_err(boxed)?;
        let Some(contact) = contact else { return Ok(None) };
        self.is_applied::<User>(users::NAME, &order.customer_id).await?;
        let user = users::by_id(&self.pool, order.customer_id).await.map_err(boxed)?;
        let Some(user) = user else { return Ok(None) };
        let profile = self.vault.open(user.user_id, &user.profile).await.map_err(boxed)?;
        let mail = OrderMail {
            recipient: self.pseudonyms.pseudonym(RECIPIENT, &contact.email.folded()),
            email: contact.email,
            locale: user.locale,
            name: profile.and_then(|profile| profile.name),
            number: order.number,
            lines: order.lines,
            totals: order.totals,
            pay_by: order.pay_by,
        };
        Ok(Some((order.customer_id, mail)))
    }

    /// A row that waits for a dead letter may be absent, and absent means erased.
    async fn is_applied<A: Identified>(
        &self,
        projection: &str,
        id: &A::Id,
    ) -> Result<(), DirectoryError> {
        let StreamKey { aggregate_type, aggregate_id } = StreamKey::of::<A>(id);
        let waits =
            dead_letters::is_waiting(&self.pool, projection, aggregate_type, &aggregate_id).await;
        if waits.map_err(boxed)? {
            return Err(DirectoryError(
                format!("events of this {aggregate_type} are dead letters").into(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn whoever_waits_as_a_dead_letter_is_not_taken_for_erased() {
        let pool = testkit::pool().await;
        let execute = async |statement: &str| {
            sqlx::query(statement).execute(&pool).await.expect("it is valid");
        };
        execute("insert into projections values ('orders', 1, 5), ('users', 1, 5)").await;
        let order_id = OrderId::from(uuid::Uuid::from_u128(7));
        execute(&format!(
            "insert into dead_letters (consumer, position, lane, status, reason, event_id, \
                                       event_type, aggregate_type, aggregate_id) \
             values ('orders', 5, 'order/{order_id}', 'failed', 'damaged', gen_random_uuid(), \
                     'OrderPlaced', 'order', '{order_id}')"
        ))
        .await;
        let stop = CancellationToken::new();
        let checkpoints = Checkpoints::start((*pool.connect_options()).clone(), stop.clone());
        let directory = OrderDirectory {
            vault: Vault::new(pool.clone()),
            pool: pool.clone(),
            checkpoints,
            pseudonyms: FingerprintKey::new(&[7; 32]),
        };
        let later =
            directory.order_mail(order_id, Position::new(5)).await.map(|found| found.is_some());
        assert!(later.is_err_and(|error| error.to_string().contains("dead letters")));
        execute("delete from dead_letters").await;
        let erased =
            directory.order_mail(order_id, Position::new(5)).await.map(|found| found.is_some());
        assert!(erased.is_ok_and(|found| !found));
        stop.cancel();
    }
}
