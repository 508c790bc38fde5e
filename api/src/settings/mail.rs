use clap::Args;
use nats::notify::{Mailer, MailerError, Sender};
use std::path::Path;

/// Where mails go.
#[derive(Debug, Clone, Args)]
pub struct MailArgs {
    /// The mail server, e.g. `smtps://user:password@host`; without it mails go to a folder.
    #[arg(long, env = "GOMALL_SMTP_URL", hide_env_values = true, value_parser = smtp)]
    pub smtp_url: Option<Mailer>,
    /// Whom mails come from.
    #[arg(long, env = "GOMALL_MAIL_FROM", default_value = "GoMall <shop@example.com>", value_parser = Sender::parse)]
    pub mail_from: Sender,
}

impl MailArgs {
    /// Where they go.
    #[must_use]
    pub fn mailer(&self, data_dir: &Path) -> Mailer {
        self.smtp_url.clone().unwrap_or_else(|| Mailer::Folder(data_dir.join("mail")))
    }
}

fn smtp(url: &str) -> Result<Mailer, MailerError> {
    Mailer::smtp(url)
}
