//! Mails about accounts.

use super::boxed;
use crate::auth::NumberedTokens;
use commands::bus::{Bus, FingerprintKey};
use commands::vault::Vault;
use domain::user::User;
use domain::{EmailAddress, UserId};
use nats::notify::{AccountMail, AccountNews, DirectoryError, MailToken};
use std::sync::Arc;

/// The journal and the vault, and what computes tokens.
pub struct AccountDirectory {
    /// Opens profiles.
    pub vault: Vault,
    /// Reads accounts as they are now.
    pub bus: Arc<Bus>,
    /// Computes what lets somebody choose another password.
    pub reset_tokens: Arc<NumberedTokens>,
    /// Computes what proves an e-mail address.
    pub verification_tokens: Arc<NumberedTokens>,
    /// Where the storefront is, if it has the pages `/reset-password` and `/verify-email`.
    pub links: Option<String>,
    /// What recipients have pseudonyms from.
    pub pseudonyms: FingerprintKey,
}

/// What they have them for.
const RECIPIENT: &str = "recipient of mails about an account";

impl AccountDirectory {
    /// From the journal, which is never behind: a token that was used a moment ago is not sent.
    pub(super) async fn account_mail(
        &self,
        news: AccountNews,
        user_id: UserId,
    ) -> Result<Option<AccountMail>, DirectoryError> {
        let user = self.bus.load::<User>(&user_id).await.map_err(boxed)?.state;
        let token = match news {
            AccountNews::EmailVerification => {
                Some((user.tickets.verification, &self.verification_tokens, "verify-email"))
            }
            AccountNews::PasswordReset => {
                Some((user.tickets.password_reset, &self.reset_tokens, "reset-password"))
            }
            AccountNews::PasswordChanged
            | AccountNews::SecondFactorAdded
            | AccountNews::SecondFactorRemoved
            | AccountNews::ApiKeyIssued => None,
        };
        let token = match token {
            Some((None, ..)) => return Ok(None),
            Some((Some(ticket), tokens, page)) => {
                let token = tokens.issue(user_id.uuid(), [ticket.number]);
                // Behind the fragment's sign: it reaches no server's log.
                let link = self.links.as_ref().map(|links| format!("{links}/{page}#token={token}"));
                Some(MailToken { token, link, until: ticket.until })
            }
            None => None,
        };
        let (Some(locale), profile) = (user.locale, user.profile) else { return Ok(None) };
        let profile = self.vault.open_optional(user_id, profile.as_ref()).await.map_err(boxed)?;
        let Some(profile) = profile else { return Ok(None) };
        let name = profile.name.filter(|_| user.tickets.email_verified);
        let recipient = self.pseudonyms.pseudonym(RECIPIENT, &profile.email.folded());
        Ok(Some(AccountMail { email: profile.email, recipient, locale, name, token }))
    }

    /// Whether the address was proved to be this user's.
    pub(super) async fn is_known_to_be(
        &self,
        user_id: UserId,
        email: &EmailAddress,
    ) -> Result<bool, DirectoryError> {
        let user = self.bus.load::<User>(&user_id).await.map_err(boxed)?.state;
        if !user.tickets.email_verified {
            return Ok(false);
        }
        let profile = self.vault.open_optional(user_id, user.profile.as_ref()).await;
        let profile = profile.map_err(boxed)?;
        Ok(profile.is_some_and(|profile| profile.email.folded() == email.folded()))
    }
}
