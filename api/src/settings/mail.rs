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
    /// The storefront that mails link to, e.g. `https://shop.example`: its pages `/verify-email` and `/reset-password` take the token behind `#token=`. Without it mails bring codes.
    #[arg(long, env = "GOMALL_MAIL_LINKS", value_parser = links)]
    pub mail_links: Option<String>,
}

impl MailArgs {
    /// Where they go.
    #[must_use]
    pub fn mailer(&self, data_dir: &Path) -> Mailer {
        self.smtp_url.clone().unwrap_or_else(|| Mailer::Folder(data_dir.join("mail")))
    }
}

/// `https://host/path`, without a slash at the end.
fn links(url: &str) -> Result<String, &'static str> {
    let parsed: http::Uri =
        url.parse().map_err(|_| "expected an address like https://shop.example")?;
    let is_web = matches!(parsed.scheme_str(), Some("http" | "https"));
    if !is_web || parsed.query().is_some() || url.contains('#') {
        return Err("expected an address like https://shop.example, without query and fragment");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn smtp(url: &str) -> Result<Mailer, MailerError> {
    Mailer::smtp(url)
}
