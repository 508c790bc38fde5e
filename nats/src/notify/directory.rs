use super::AccountNews;
use domain::order::{OrderLine, Totals};
use domain::{EmailAddress, Locale, Name, OrderId, Position, Timestamp, UserId};
use std::error::Error;
use std::fmt;

/// What a mail about an order needs to know. Held only while the mail is written and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct OrderMail {
    /// Where it goes.
    pub email: EmailAddress,
    /// What stands for that address in the database: alike in every process, and not to be read.
    pub recipient: String,
    /// The language it is written in.
    pub locale: Locale,
    /// How to address the customer: only at an address that is known to be theirs, since whoever orders in somebody's
    /// name could write to them by the name that they choose.
    pub name: Option<Name>,
    /// The order's number for people.
    pub number: i32,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// What it costs.
    pub totals: Totals,
    /// Until when it can be paid.
    pub pay_by: Timestamp,
}

impl fmt::Debug for OrderMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderMail").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What a mail about an account needs to know. Held only while the mail is written and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountMail {
    /// Where it goes.
    pub email: EmailAddress,
    /// As an order's, and apart from those: orders in somebody's name must not keep what their account needs
    /// from them.
    pub recipient: String,
    /// The language it is written in.
    pub locale: Locale,
    /// How to address them: only at an address that is known to be theirs, since whoever registers under
    /// somebody else's could write to them by the name that they choose.
    pub name: Option<Name>,
    /// What they prove themselves with, where the mail brings something.
    pub token: Option<MailToken>,
}

/// A secret that whoever reads a mail may use once.
#[derive(Clone, PartialEq, Eq)]
pub struct MailToken {
    /// The token as the API takes it.
    pub token: String,
    /// The page of the shop that takes it, if there is one.
    pub link: Option<String>,
    /// Until when it is accepted.
    pub until: Timestamp,
}

impl fmt::Debug for AccountMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountMail(…)")
    }
}

impl fmt::Debug for MailToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailToken(…)")
    }
}

/// The answer is not known now; asking again later is right. What it displays is logged and must
/// hold no personal data.
#[derive(Debug, thiserror::Error)]
#[error("the directory cannot answer: {0}")]
pub struct DirectoryError(#[source] pub Box<dyn Error + Send + Sync>);

/// Whom a mail goes to, and what it says. Asked at the time of use, so that an erased person gets
/// none.
pub trait Directory: Send + Sync + 'static {
    /// Who has to know about an order, as of `position` in the journal or later; `None` when the
    /// person was erased. A read model that has not reached `position` yet must wait or fail: what
    /// it does not know is not absent.
    fn order_mail(
        &self,
        order_id: OrderId,
        position: Position,
    ) -> impl Future<Output = Result<Option<OrderMail>, DirectoryError>> + Send;

    /// Who has to know about an account, as of `position` in the journal or later; `None` when the person
    /// was erased, or the news are none any more: the token was used.
    fn account_mail(
        &self,
        news: AccountNews,
        user_id: UserId,
        position: Position,
    ) -> impl Future<Output = Result<Option<AccountMail>, DirectoryError>> + Send;
}
