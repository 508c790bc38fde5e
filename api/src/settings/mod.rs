//! Every setting, in sections: what it means, what it may be, and what it is when nobody gives it.
//!
//! A setting is a flag or an environment variable; the flag wins. It is checked when it is read, so that a process
//! that starts has settings that can be used.

mod auth;
mod catalogue;
mod database;
mod http;
mod log;
mod mail;
mod nats;
mod payment;
mod secret;

pub use auth::AuthArgs;
pub use catalogue::CatalogueArgs;
pub use database::{DatabaseArgs, DatabaseUrl};
pub use http::{HttpArgs, OperationsArgs};
pub use log::LogArgs;
pub use mail::MailArgs;
pub use nats::{NatsArgs, NatsUrl};
pub use payment::PaymentArgs;
pub use secret::Secret;

use crate::shop::{ShopConfig, Workers};
use ::nats::StreamConfig;
use clap::Args;
use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};

/// The settings that every shop has, wherever its servers are.
#[derive(Debug, Clone, Args)]
pub struct ShopArgs {
    /// What to log.
    #[command(flatten)]
    pub log: LogArgs,
    /// Who signs in, and how that is believed.
    #[command(flatten)]
    pub auth: AuthArgs,
    /// What is sold.
    #[command(flatten)]
    pub catalogue: CatalogueArgs,
    /// Who takes the money.
    #[command(flatten)]
    pub payment: PaymentArgs,
    /// Where mails go.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// Where the servers are, and everything else, for roles that run on servers of yours.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The broker.
    #[command(flatten)]
    pub nats: NatsArgs,
    /// Where the keys are; all processes of one shop must hold the same.
    #[arg(long, env = "GOMALL_DATA_DIR", default_value = ".gomall")]
    pub data_dir: PathBuf,
    /// Everything else.
    #[command(flatten)]
    pub shop: ShopArgs,
}

impl ServerArgs {
    /// The parts of a shop with these settings, with these workers; `shop_url` is where this process serves, if
    /// it does.
    ///
    /// # Errors
    /// When a secret of the sandbox cannot be made.
    pub fn config(&self, workers: Workers, shop_url: Option<String>) -> anyhow::Result<ShopConfig> {
        let (database, nats_url) = (self.database.options().clone(), self.nats.nats_url.reveal());
        let config = self.shop.config(database, nats_url, &self.data_dir, workers, shop_url)?;
        Ok(ShopConfig { stream: self.nats.stream(), ..config })
    }
}

impl ShopArgs {
    /// The same on servers that are known otherwise; the stream has its usual name.
    ///
    /// # Errors
    /// When a secret of the sandbox cannot be made.
    pub fn config(
        &self,
        database: PgConnectOptions,
        nats_url: &str,
        data_dir: &Path,
        workers: Workers,
        shop_url: Option<String>,
    ) -> anyhow::Result<ShopConfig> {
        Ok(ShopConfig {
            database,
            nats_url: nats_url.to_owned(),
            stream: StreamConfig::default(),
            keys: self.auth.keys(data_dir),
            password_min_chars: self.auth.password_min,
            currency: self.catalogue.currency,
            provider: self.payment.provider(shop_url)?,
            mail_sender: self.mail.mail_from.clone(),
            mailer: self.mail.mailer(data_dir),
            mail_links: self.mail.mail_links.clone(),
            workers,
        })
    }
}
