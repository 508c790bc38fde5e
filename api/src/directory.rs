//! Whom a mail about an order goes to, asked at the moment of writing it.

use commands::vault::Vault;
use nats::notify::{Directory, DirectoryError, OrderMail};
use projections::Checkpoints;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// How long a mail waits for the read models; the event is delivered again afterwards.
const WAIT: Duration = Duration::from_secs(5);

/// The directory over the read models and the vault.
pub struct ReadModelDirectory {
    /// For reading the read models.
    pub pool: PgPool,
    /// How far they are.
    pub checkpoints: Checkpoints,
    /// Opens the contact.
    pub vault: Vault,
}

impl Directory for ReadModelDirectory {
    async fn order_mail(
        &self,
        order_id: Uuid,
        position: u64,
    ) -> Result<Option<OrderMail>, DirectoryError> {
        for projection in ["orders", "users"] {
            self.checkpoints.wait_for(projection, position, WAIT).await.map_err(boxed)?;
        }
        let order = projections::orders::by_id(&self.pool, order_id).await.map_err(boxed)?;
        let Some(order) = order else { return Ok(None) };
        let contact = self.vault.open(order.customer_id, &order.contact).await.map_err(boxed)?;
        let Some(contact) = contact else { return Ok(None) };
        let user = projections::users::by_id(&self.pool, order.customer_id).await.map_err(boxed)?;
        let Some(user) = user else { return Ok(None) };
        let profile = self.vault.open(user.user_id, &user.profile).await.map_err(boxed)?;
        Ok(Some(OrderMail {
            email: contact.email,
            locale: user.locale,
            name: profile.and_then(|profile| profile.name),
            number: order.number,
            lines: order.lines,
            totals: order.totals,
            pay_by: order.pay_by,
        }))
    }
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> DirectoryError {
    DirectoryError(error.into())
}
