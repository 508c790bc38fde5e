//! Sends mail about orders and accounts.
//!
//! **Guarantee.** Every event of [`MailKind`] sends one mail, however often it is delivered, to
//! however many workers: it becomes a row of the table `mails`, which is the queue; the worker that sends
//! holds a lease on the row (`ledger.rs`), and a row that is settled stays settled. One thing cannot be excluded by anybody who speaks SMTP: when
//! a worker dies between the mail server's acceptance and its own record, the mail is sent once
//! more, with the same Message-ID.
//!
//! A mail server that is away costs nothing but time: everything rests, with growing, bounded pauses, for
//! ever. One that says "later" about a mailbox lets that mailbox rest, and nobody else's (`mailboxes.rs`);
//! after a day the mail is given up. A conversation that takes long stands aside while others go on. One that refuses a mail for good is asked a few times more, since the
//! refusal may be its own mistake. What is given up is left as `failed`, and the event is a dead letter
//! that somebody may let be tried again (`dead_letters.rs`).
//!
//! A recipient gets so many mails within an hour (`quota.rs`), whoever orders in their name: the rest waits like mails to
//! a mailbox that is full, for a day at most.
//!
//! Addresses and names are asked for at the moment of sending ([`Directory`]) and kept nowhere. No
//! log line and no row holds an address; a mail server's words, which may quote one, are reduced to
//! their status code.

mod config;
mod dead_letters;
mod directory;
mod kind;
mod ledger;
mod lost;
mod mailboxes;
mod mailer;
mod places;
mod quota;
mod settle;
mod texts;
mod worker;

pub use config::{NotifyConfig, NotifyStatus};
pub use directory::{AccountMail, Directory, DirectoryError, MailToken, OrderMail};
pub use kind::{AccountNews, MailKind, OrderNews};
pub use ledger::waiting_mails;
pub use lost::{LostMail, MAX_LOST_MAILS, lost_mails};
pub use mailer::{Mailer, MailerError, Sender};
pub use quota::MAX_MAILS_AN_HOUR;
pub use texts::{MailText, account_text, order_text};
pub use worker::Notifier;
