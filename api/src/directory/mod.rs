//! Whom a mail goes to and what it needs to know, asked at the moment of writing it.

mod accounts;
mod orders;

pub use accounts::AccountDirectory;
pub use orders::OrderDirectory;

use domain::{OrderId, Position, UserId};
use nats::notify::{AccountMail, AccountNews, Directory, DirectoryError, OrderMail};

/// What the shop knows.
pub struct ShopDirectory {
    /// Of orders.
    pub orders: OrderDirectory,
    /// Of accounts.
    pub accounts: AccountDirectory,
}

impl Directory for ShopDirectory {
    async fn order_mail(
        &self,
        order_id: OrderId,
        position: Position,
    ) -> Result<Option<OrderMail>, DirectoryError> {
        let order = self.orders.order_mail(order_id, position).await?;
        let Some((customer_id, mut mail)) = order else { return Ok(None) };
        if !self.accounts.is_known_to_be(customer_id, &mail.email).await? {
            mail.name = None;
        }
        Ok(Some(mail))
    }

    async fn account_mail(
        &self,
        news: AccountNews,
        user_id: UserId,
        _position: Position,
    ) -> Result<Option<AccountMail>, DirectoryError> {
        self.accounts.account_mail(news, user_id).await
    }
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> DirectoryError {
    DirectoryError(error.into())
}
