//! One mail: who is to be told, and what became of it.

use super::ledger::{self, Mail, Taken, Unsent};
use super::mailer::{self, Undelivered};
use super::worker::Notifier;
use super::{
    AccountMail, Directory, DirectoryError, MailKind, MailText, OrderMail, account_text,
    dead_letters, order_text, quota,
};
use domain::{EmailAddress, Name};
use follow::backoff::pause_after;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often a mail is offered to a server that refuses it for good. A refusal may be the server's
/// own mistake, mended in minutes (the default pauses add up to four); one that still stands then
/// is about this mail.
const MAX_REFUSALS: u64 = 8;
/// How long a mail waits whose reader cannot be asked for yet: a read model is behind.
const DIRECTORY_PAUSE: Duration = Duration::from_secs(1);
/// How often an accepted mail's record is tried while the lease lasts.
const RECORD_PAUSE: Duration = Duration::from_millis(200);

impl<D: Directory> Notifier<D> {
    /// Tries to send a mail that we hold the lease of, and records what became of it.
    pub(super) async fn settle(&self, taken: Taken, give_up: &CancellationToken) -> Server {
        let deadline = Instant::now() + self.config.lease;
        let sent = self.send(&taken, give_up).await;
        let server = match &sent {
            Err(Unsendable::Mailbox { is_silent: true, .. }) => Server::Silent,
            Ok(()) | Err(Unsendable::Refused(_) | Unsendable::Mailbox { .. }) => Server::Takes,
            Err(Unsendable::Away(_)) => Server::Away,
            Err(_) => Server::Unknown,
        };
        let recorded = match sent {
            Ok(()) => self.record_sent(&taken, deadline).await,
            Err(why) => self.record_unsent(&taken, why).await,
        };
        if let Err(error) = recorded {
            let position = taken.mail.position;
            tracing::warn!(event.position = position.get(), %error, "a mail's record cannot be reached");
        }
        server
    }

    /// Asks who is to be told, and tells them, each in half of the lease at most: so whoever takes the
    /// lease over does not meet us at work.
    async fn send(&self, taken: &Taken, give_up: &CancellationToken) -> Result<(), Unsendable> {
        let mail = &taken.mail;
        let quarter = self.config.lease / 4;
        let Letter { email, name, recipient, text } =
            match tokio::time::timeout(quarter, self.letter(mail)).await {
                Ok(Ok(Some(letter))) => letter,
                Ok(Ok(None)) => return Err(Unsendable::Erased),
                Ok(Err(error)) => return Err(Unsendable::Unknown(error.to_string())),
                Err(_) => {
                    return Err(Unsendable::Unknown("the directory took too long".to_owned()));
                }
            };
        let to = (&email, name.as_ref());
        let message = mailer::compose(&self.config.sender, &mail.message_id, to, text)
            .map_err(Unsendable::Refused)?;
        let address = email.as_str();
        self.mailboxes.offer(address).map_err(|pause| Unsendable::Resting { pause })?;
        let most = self.config.mails_an_hour;
        let crowded = match quota::take(&self.pool, &recipient, most).await {
            Ok(Ok(())) => None,
            Ok(Err(pause)) => Some(Unsendable::Crowded { pause }),
            Err(error) => Some(Unsendable::Unknown(error.to_string())),
        };
        if let Some(crowded) = crowded {
            self.mailboxes.let_go(address);
            return Err(crowded);
        }
        let offered = self.config.mailer.deliver(mail.event_id, &message);
        let offered = give_up.run_until_cancelled(tokio::time::timeout(quarter, offered));
        let delivered = match offered.await {
            Some(Ok(delivered)) => delivered,
            Some(Err(_)) | None => Err(Undelivered::Silent("it took too long".to_owned())),
        };
        if delivered.is_err() {
            // One that cannot be given back is lost for the hour, and nothing else.
            let _given_or_not = quota::give_back(&self.pool, &recipient).await;
        }
        match delivered {
            Ok(()) => {
                self.mailboxes.accepted(address);
                Ok(())
            }
            Err(Undelivered::Mailbox(problem)) => Err(self.rests(address, problem, false)),
            Err(Undelivered::Silent(problem)) => Err(self.rests(address, problem, true)),
            Err(Undelivered::Away(problem)) => {
                self.mailboxes.let_go(address);
                Err(Unsendable::Away(problem))
            }
            Err(Undelivered::Refused(problem)) => {
                self.mailboxes.let_go(address);
                Err(Unsendable::Refused(problem))
            }
        }
    }

    /// Who is to be told, and what.
    async fn letter(&self, mail: &Mail) -> Result<Option<Letter>, DirectoryError> {
        let (about, position) = (mail.about, mail.position);
        Ok(match mail.kind {
            MailKind::Order(news) => {
                let order = self.directory.order_mail(about.into(), position).await?;
                order.map(|order| {
                    let text = order_text(news, &order);
                    let OrderMail { email, name, recipient, .. } = order;
                    Letter { email, name, recipient, text }
                })
            }
            MailKind::Account(news) => {
                let account = self.directory.account_mail(news, about.into(), position).await?;
                account.map(|account| {
                    let text = account_text(news, &account);
                    let AccountMail { email, name, recipient, .. } = account;
                    Letter { email, name, recipient, text }
                })
            }
        })
    }

    /// The mailbox does not take mail now.
    fn rests(&self, address: &str, problem: String, is_silent: bool) -> Unsendable {
        let (first, longest) = (self.config.first_pause, self.config.longest_mailbox_pause);
        let pause = self.mailboxes.refused(address, first, longest);
        Unsendable::Mailbox { problem, pause, is_silent }
    }

    async fn record_unsent(&self, taken: &Taken, why: Unsendable) -> Result<(), sqlx::Error> {
        let (first, longest) = (self.config.first_pause, self.config.longest_mailbox_pause);
        let (unsent, problem, pause) = match why {
            Unsendable::Erased => (Unsent::Skipped, "erased".to_owned(), Duration::ZERO),
            // Nothing was tried, and nothing is to be said.
            Unsendable::Resting { pause } => {
                let problem = "its mailbox rests";
                return ledger::unsent(&self.pool, taken, Unsent::NotNow, problem, pause).await;
            }
            Unsendable::Unknown(problem) => (Unsent::NotNow, problem, first.min(DIRECTORY_PAUSE)),
            Unsendable::Away(problem) => (Unsent::NotNow, problem, Duration::ZERO),
            Unsendable::Crowded { .. } if taken.soft_for >= self.config.soft_patience => {
                (Unsent::Failed, CROWDED.to_owned(), Duration::ZERO)
            }
            Unsendable::Crowded { pause } => (Unsent::Soft, CROWDED.to_owned(), pause),
            Unsendable::Mailbox { problem, .. } if taken.soft_for >= self.config.soft_patience => {
                (Unsent::Failed, problem, Duration::ZERO)
            }
            Unsendable::Mailbox { problem, pause, .. } => (Unsent::Soft, problem, pause),
            Unsendable::Refused(problem) if taken.refusals + 1 >= MAX_REFUSALS => {
                (Unsent::Failed, problem, Duration::ZERO)
            }
            Unsendable::Refused(problem) => {
                (Unsent::Refused, problem, pause_after(taken.refusals + 1, first, longest))
            }
        };
        if unsent == Unsent::Failed {
            // First, so that a mail which nobody offers any more is never without its letter.
            dead_letters::keep(&self.pool, &taken.mail, &problem).await?;
        }
        ledger::unsent(&self.pool, taken, unsent, &problem, pause).await?;
        say(taken, unsent, &problem);
        Ok(())
    }

    /// Between acceptance and this record lies the only duplicate that is possible, so the record
    /// is tried for as long as the lease keeps others away.
    async fn record_sent(&self, taken: &Taken, deadline: Instant) -> Result<(), sqlx::Error> {
        let mail = &taken.mail;
        loop {
            match ledger::sent(&self.pool, mail.event_id).await {
                Err(_) if Instant::now() + RECORD_PAUSE < deadline => {
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        tracing::info!(
            event.position = mail.position.get(), mail.about = %mail.about,
            mail.kind = mail.kind.as_str(), "sent a mail"
        );
        Ok(())
    }
}

/// A mail as it is to be written.
struct Letter {
    email: EmailAddress,
    /// How its reader is called.
    name: Option<Name>,
    /// Under which its reader's mails are counted.
    recipient: String,
    text: MailText,
}

/// What a try says about the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// It answers, whatever it thinks of this mail.
    Takes,
    /// It takes nobody's mail.
    Away,
    /// It said nothing in time, about this mail or at all.
    Silent,
    /// It was not asked.
    Unknown,
}

/// What is recorded of a mail that waits for its recipient's next hour.
const CROWDED: &str = "its recipient has had the mails of an hour";

/// Why a mail was not sent.
enum Unsendable {
    /// Nobody is to be told any more.
    Erased,
    /// Who is to be told is not known yet.
    Unknown(String),
    /// The mailbox was full a moment ago, or is being offered another mail.
    Resting {
        pause: Duration,
    },
    /// Its recipient has had the mails of an hour.
    Crowded {
        pause: Duration,
    },
    Mailbox {
        problem: String,
        pause: Duration,
        /// Nothing was said at all.
        is_silent: bool,
    },
    Away(String),
    Refused(String),
}

fn say(taken: &Taken, unsent: Unsent, problem: &str) {
    let (position, kind) = (taken.mail.position, taken.mail.kind.as_str());
    let about = taken.mail.about;
    match unsent {
        Unsent::Skipped => tracing::info!(
            event.position = position.get(), mail.about = %about, mail.kind = kind,
            "sent no mail, the person was erased"
        ),
        Unsent::Failed => tracing::error!(
            event.position = position.get(), mail.about = %about, mail.kind = kind,
            mail.problem = problem, "a mail was refused again and again: it is a dead letter"
        ),
        Unsent::NotNow | Unsent::Soft | Unsent::Refused => tracing::warn!(
            event.position = position.get(), mail.about = %about, mail.kind = kind,
            mail.attempt = taken.attempt, mail.problem = problem,
            "a mail was not taken; it is tried again"
        ),
    }
}
