use crate::invention::invent_secret;
use crate::shop::Provider;
use clap::Args;
use provider::HttpProvider;
use provider::webhook::WebhookSecret;

/// Who takes the money.
#[derive(Debug, Clone, Args)]
pub struct PaymentArgs {
    /// The payment provider's address.
    #[arg(long, env = "GOMALL_PAYMENT_URL", value_parser = address)]
    pub payment_url: Option<String>,
    /// Sell for no money: a sandbox plays the payment provider. `dev` does so where no provider is named.
    #[arg(long, env = "GOMALL_SANDBOX")]
    pub sandbox: bool,
    /// What the sandbox signs its notifications with.
    #[arg(long, env = "GOMALL_SANDBOX_WEBHOOK_SECRET", hide_env_values = true)]
    pub sandbox_webhook_secret: Option<WebhookSecret>,
}

impl PaymentArgs {
    /// The same with a sandbox where no provider is named.
    #[must_use]
    pub fn or_sandbox(self) -> Self {
        let sandbox = self.sandbox || self.payment_url.is_none();
        Self { sandbox, ..self }
    }

    /// Who takes the money in a process that serves at `shop_url`, if it does.
    ///
    /// # Errors
    /// When nobody said who it is, or two things were said, or a secret cannot be made.
    pub fn provider(&self, shop_url: Option<String>) -> anyhow::Result<Provider> {
        if let Some(url) = &self.payment_url {
            // Not clap's `conflicts_with`: it would count a variable that says `false`.
            anyhow::ensure!(
                !self.sandbox,
                "say who takes the money: --payment-url (GOMALL_PAYMENT_URL) or --sandbox (GOMALL_SANDBOX), not both"
            );
            return Ok(Provider::Http(url.clone()));
        }
        // Without an address nobody can pay here, and none of the roles without one settles.
        let Some(shop_url) = shop_url else { return Ok(Provider::Nobody) };
        anyhow::ensure!(
            self.sandbox,
            "say who takes the money: --payment-url <address> (GOMALL_PAYMENT_URL), or --sandbox (GOMALL_SANDBOX), \
             which takes none"
        );
        let webhook_secret = match &self.sandbox_webhook_secret {
            Some(secret) => secret.clone(),
            // The sandbox and the shop are one process: nobody else needs to know it.
            None => invent_secret()?.parse()?,
        };
        Ok(Provider::Sandbox { shop_url, webhook_secret: Box::new(webhook_secret) })
    }
}

/// Checked when it is read, not at the first payment.
fn address(text: &str) -> Result<String, String> {
    HttpProvider::new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        payment: PaymentArgs,
    }

    #[test]
    fn only_a_process_that_serves_and_was_told_to_starts_a_sandbox() {
        let provider_of = |more: &[&str], shop_url: Option<&str>| {
            let line = Line::parse_from([""].iter().chain(more));
            line.payment.provider(shop_url.map(str::to_owned)).expect("the settings are good")
        };
        assert!(matches!(provider_of(&[], None), Provider::Nobody));
        let serving = provider_of(&["--sandbox"], Some("http://127.0.0.1:1"));
        assert!(matches!(serving, Provider::Sandbox { .. }));
        let unsaid = Line::parse_from([""]).payment.provider(Some("http://127.0.0.1:1".to_owned()));
        assert!(unsaid.is_err(), "nobody sells for nothing by mistake");
        let url = "http://provider.test";
        for shop_url in [None, Some("http://127.0.0.1:1")] {
            let theirs = provider_of(&["--payment-url", url], shop_url);
            assert!(matches!(theirs, Provider::Http(address) if address == url));
        }
        let both = Line::parse_from(["", "--sandbox", "--payment-url", url]).payment;
        assert!(both.provider(None).is_err() && both.or_sandbox().provider(None).is_err());
    }
}
