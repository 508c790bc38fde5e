//! The mails' words: plain text, in the language of the reader.
//!
//! A further language is a file like `en.rs` and a line in each of the functions here.

mod en;
mod zh;

use super::{AccountMail, AccountNews, OrderMail, OrderNews};
use domain::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

/// A mail's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailText {
    /// One line.
    pub subject: String,
    /// Plain text with `\n` at the line ends.
    pub text: String,
}

/// The mail with these news about an order, in the reader's language.
#[must_use]
pub fn order_text(news: OrderNews, order: &OrderMail) -> MailText {
    match order.locale.as_str() {
        "zh" => zh::order(news, order),
        _ => en::order(news, order),
    }
}

/// The mail with these news about an account, in the reader's language.
#[must_use]
pub fn account_text(news: AccountNews, account: &AccountMail) -> MailText {
    match account.locale.as_str() {
        "zh" => zh::account(news, account),
        _ => en::account(news, account),
    }
}

/// `2026-11-23 06:34 UTC`: without knowing the reader's time zone, the only honest one.
fn moment(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from(at).format(format).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests;
