//! Every setting of the binary: a flag, or an environment variable `GOMALL_…`; the flag wins.

use crate::auth::{DEFAULT_PASSWORD_MIN_CHARS, KeyPaths};
use crate::guard::TrustedProxies;
use clap::{Args, Parser, Subcommand};
use domain::EmailAddress;
use projections::dead_letters::DeadLetterId;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The back end of a shop, event-sourced. Without a command it is `gomall dev`.
#[derive(Debug, Parser)]
#[command(name = "gomall", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub role: Option<Role>,
    /// The settings of `dev`, for a bare `gomall`.
    #[command(flatten)]
    pub dev: DevArgs,
}

/// What one process does.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// The whole shop on a private PostgreSQL and NATS of its own.
    Dev(DevArgs),
    /// The whole shop on servers of yours.
    Serve(ServeArgs),
    /// Only publish to JetStream.
    Relay(WorkerArgs),
    /// Only keep the read models.
    Project(WorkerArgs),
    /// Only send mail.
    Notify(WorkerArgs),
    /// Build a read model anew, beside the live one, and swap.
    Rebuild(RebuildArgs),
    /// Compare the whole stream with the journal; fails when it is no copy.
    Audit(AuditArgs),
    /// Bring the database up to this build.
    Migrate(DatabaseArgs),
    /// Write the sample catalogue, once.
    Seed(ServerArgs),
    /// Make an administrator, or give one a new password.
    Admin {
        /// What to do.
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Show the events that a read model or another consumer could not take in, and decide about them.
    DeadLetters {
        /// What to do.
        #[command(subcommand)]
        action: DeadLettersAction,
    },
    /// Measure this build beside its anchors, in the same run.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        scenario: crate::roles::bench::Scenario,
    },
    /// Break things on purpose and see that every promise holds.
    Chaos {
        /// What to break.
        #[command(subcommand)]
        scenario: crate::roles::chaos::Scenario,
    },
    /// Print the OpenAPI document.
    Openapi,
}

/// What to do with an administrator.
#[derive(Debug, Subcommand)]
pub enum AdminAction {
    /// Make an account with the role `admin` and print its password.
    Create(AdminArgs),
    /// Give the account a new password and print it.
    Reset(AdminArgs),
}

/// What to do about dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersAction {
    /// Print all, one a line.
    List(DatabaseArgs),
    /// Let the letter's lane be tried again, in order.
    Retry {
        /// `<consumer>.<position>`.
        id: DeadLetterId,
        /// The database.
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Let the event have no effect if it still cannot be applied; what waits behind it goes on.
    GiveUp {
        /// `<consumer>.<position>`.
        id: DeadLetterId,
        /// The database.
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Which read model.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The projection's name, as in `/admin/projections`.
    pub projection: String,
    /// The servers; NATS is not used.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// Which stream, and whether to touch it.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Make it a copy: where publishing more is not enough the stream is deleted and filled anew.
    #[arg(long)]
    pub repair: bool,
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// Which administrator.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The account's e-mail address.
    #[arg(value_parser = parse_email)]
    pub email: EmailAddress,
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// The settings of `dev`.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// Where to keep everything.
    #[arg(long, env = "GOMALL_DATA_DIR", default_value = ".gomall")]
    pub data_dir: PathBuf,
    /// PostgreSQL of your own instead of a private one; give both servers or none.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, requires = "nats_url")]
    pub database_url: Option<Secret>,
    /// NATS of your own instead of a private one; give both servers or none.
    #[arg(long, env = "NATS_URL", hide_env_values = true, requires = "database_url")]
    pub nats_url: Option<Secret>,
    /// The administrator's address, for the first start.
    #[arg(long, env = "GOMALL_ADMIN_EMAIL", value_parser = parse_email, default_value = "admin@example.com")]
    pub admin_email: EmailAddress,
    /// The administrator's password, for the first start; made and printed when absent.
    #[arg(long, env = "GOMALL_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,
    /// How to serve.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Everything else.
    #[command(flatten)]
    pub shop: ShopArgs,
}

/// The settings of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// How to serve.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Do not publish, project, mail or settle in this process: others do.
    #[arg(long, env = "GOMALL_NO_WORKERS")]
    pub no_workers: bool,
}

/// The settings of a role that is one worker.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// What the operator may look at.
    #[command(flatten)]
    pub operations: OperationsArgs,
}

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// PostgreSQL, e.g. `postgres://user:password@host/database`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Secret,
}

/// Where the servers are, for roles that run on servers of yours.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// NATS with JetStream; several addresses separated by commas.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", hide_env_values = true)]
    pub nats_url: Secret,
    /// How many servers of a NATS cluster keep the stream: 1, 3 or 5; the same in all processes.
    #[arg(long, env = "GOMALL_NATS_REPLICAS", default_value = "1", value_parser = parse_replicas)]
    pub nats_replicas: usize,
    /// The stream that the journal is published to; its subjects, in lower case, begin with the same word.
    /// Of several shops on one NATS each needs its own.
    #[arg(long, env = "GOMALL_NATS_STREAM", default_value = "GOMALL", value_parser = stream_name)]
    pub nats_stream: String,
    /// Where the keys are; all processes of one shop must hold the same.
    #[arg(long, env = "GOMALL_DATA_DIR", default_value = ".gomall")]
    pub data_dir: PathBuf,
    /// Everything else.
    #[command(flatten)]
    pub shop: ShopArgs,
}

/// How to serve HTTP.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "GOMALL_HTTP", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// What the operator may look at.
    #[command(flatten)]
    pub operations: OperationsArgs,
    /// `off` takes every limit away, for load generators.
    #[arg(long, env = "GOMALL_LIMITS", default_value = "on", value_parser = ["on", "off"])]
    pub limits: String,
    /// Networks of proxies whose `X-Forwarded-For` is believed, separated by commas.
    #[arg(long, env = "GOMALL_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
}

/// What the operator may look at, on an address that nobody else reaches.
#[derive(Debug, Clone, Args)]
pub struct OperationsArgs {
    /// Where to serve `/metrics`, `/healthz` and `/readyz` to the operator; port 0 takes a free one.
    #[arg(long, env = "GOMALL_METRICS")]
    pub metrics: Option<SocketAddr>,
}

impl HttpArgs {
    /// Whether requests are limited.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits != "off"
    }

    /// The proxies that are believed.
    #[must_use]
    pub fn proxies(&self) -> TrustedProxies {
        self.trusted_proxies.clone()
    }
}

/// The settings that every shop has.
#[derive(Debug, Clone, Args)]
pub struct ShopArgs {
    /// What to log, e.g. `info` or `info,api=debug`; to standard error.
    #[arg(long, env = "GOMALL_LOG", default_value = "info")]
    pub log: String,
    /// The shortest password.
    #[arg(long, env = "GOMALL_PASSWORD_MIN", default_value_t = DEFAULT_PASSWORD_MIN_CHARS)]
    pub password_min: usize,
    /// The private key that signs access tokens (Ed25519, PKCS#8, PEM); made when absent.
    #[arg(long, env = "GOMALL_SIGNING_KEY")]
    pub signing_key: Option<PathBuf>,
    /// The key that signed before; its tokens are still accepted.
    #[arg(long, env = "GOMALL_PREVIOUS_SIGNING_KEY")]
    pub previous_signing_key: Option<PathBuf>,
    /// What authenticates refresh tokens: 32 random bytes in base64; made when absent.
    #[arg(long, env = "GOMALL_REFRESH_SECRET")]
    pub refresh_secret: Option<PathBuf>,
    /// What keys the fingerprints of requests: 32 random bytes in base64; the refresh secret when absent.
    #[arg(long, env = "GOMALL_FINGERPRINT_SECRET")]
    pub fingerprint_secret: Option<PathBuf>,
    /// The payment provider's address; without it a process that serves starts a sandbox.
    #[arg(long, env = "GOMALL_PAYMENT_URL")]
    pub payment_url: Option<String>,
    /// What the sandbox signs its notifications with.
    #[arg(long, env = "GOMALL_SANDBOX_WEBHOOK_SECRET", hide_env_values = true)]
    pub sandbox_webhook_secret: Option<Secret>,
    /// The mail server, e.g. `smtps://user:password@host`; without it mails go to a folder.
    #[arg(long, env = "GOMALL_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,
    /// Whom mails come from.
    #[arg(long, env = "GOMALL_MAIL_FROM", default_value = "GoMall <shop@example.com>")]
    pub mail_from: String,
}

impl ShopArgs {
    /// Where the keys are.
    #[must_use]
    pub fn keys(&self, data_dir: &std::path::Path) -> KeyPaths {
        KeyPaths {
            directory: data_dir.join("keys"),
            signing_key: self.signing_key.clone(),
            previous_signing_key: self.previous_signing_key.clone(),
            refresh_secret: self.refresh_secret.clone(),
            fingerprint_secret: self.fingerprint_secret.clone(),
        }
    }
}

/// A setting that must not be shown: an address may hold a password.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The setting itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// An even number tolerates no more losses than the odd one below it.
fn parse_replicas(text: &str) -> Result<usize, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("it is 1, 3 or 5"),
    }
}

fn parse_email(text: &str) -> Result<EmailAddress, domain::InvalidValue> {
    EmailAddress::parse(text)
}
/// The longest name of a stream.
const MAX_STREAM_NAME: usize = 32;

/// A word that is a stream's name and, in lower case, a token of subjects.
fn stream_name(text: &str) -> Result<String, String> {
    let is_word =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if (1..=MAX_STREAM_NAME).contains(&text.len()) && is_word(text) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err(format!("expected 1 to {MAX_STREAM_NAME} letters, digits, - or _"))
    }
}
