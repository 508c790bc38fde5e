use crate::auth::KeyPaths;
use domain::Currency;
use nats::StreamConfig;
use nats::notify::{Mailer, Sender};
use provider::webhook::WebhookSecret;
use sqlx::postgres::PgConnectOptions;

/// Which workers this process runs beside what it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Publish to JetStream.
    pub relay: bool,
    /// Keep the read models.
    pub project: bool,
    /// Send mail.
    pub notify: bool,
    /// Settle payments that are in the air.
    pub settle: bool,
}

impl Workers {
    /// Everything: one process is a whole shop.
    pub const ALL: Self = Self { relay: true, project: true, notify: true, settle: true };
    /// Nothing but what serving needs.
    pub const NONE: Self = Self { relay: false, project: false, notify: false, settle: false };
}

/// What a shop is made of.
pub struct ShopConfig {
    /// The journal and everything derived from it.
    pub database: PgConnectOptions,
    /// JetStream; addresses separated by commas.
    pub nats_url: String,
    /// The stream that the relay fills.
    pub stream: StreamConfig,
    /// Where the keys are.
    pub keys: KeyPaths,
    /// The shortest password.
    pub password_min_chars: usize,
    /// The shop's first currency.
    pub currency: Currency,
    /// Who takes the money.
    pub provider: Provider,
    /// Whom mails come from.
    pub mail_sender: Sender,
    /// Where mails go.
    pub mailer: Mailer,
    /// Where the storefront is that mails link to; without it they bring codes.
    pub mail_links: Option<String>,
    /// Which workers to run.
    pub workers: Workers,
}

/// Who takes the money.
pub enum Provider {
    /// Somebody at this address.
    Http(String),
    /// Nobody: this process serves nobody who could pay, and settles nothing.
    Nobody,
    /// Our sandbox, started beside the shop on a free port of loopback.
    Sandbox {
        /// Where this process serves its routes, for notifications and the customer's pages.
        shop_url: String,
        /// What notifications are signed with.
        webhook_secret: Box<WebhookSecret>,
    },
}
