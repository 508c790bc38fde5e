//! The mails' words: plain text, in the language of the reader.
//!
//! A further language is a file like `en.rs` and a line in [`mail_text`].

mod en;
mod zh;

use super::{MailKind, OrderMail};
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

/// The mail of a kind about an order, in the reader's language.
#[must_use]
pub fn mail_text(kind: MailKind, order: &OrderMail) -> MailText {
    match order.locale.as_str() {
        "zh" => zh::mail_text(kind, order),
        _ => en::mail_text(kind, order),
    }
}

/// `2026-11-23 06:34 UTC`: without knowing the reader's time zone, the only honest one.
fn moment(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    OffsetDateTime::from(at).format(format).unwrap_or_else(|_| at.to_string())
}

#[cfg(test)]
mod tests;
