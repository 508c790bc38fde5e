//! Where a run takes place: private servers in a temporary directory, and a database a cycle.

use super::patiently;
use anyhow::Context as _;
use compose::{Stack, StackOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Connections for all processes of a cycle, twice over: those of a killed one take a while to go.
const CONNECTIONS: u16 = 400;

/// The migrated database that every cycle's is a copy of.
const TEMPLATE: &str = "chaos_template";

/// PostgreSQL, with every commit on disk before it is acknowledged, and NATS.
pub(super) struct Testbed {
    pub(super) stack: Stack,
    /// Where the servers' files are.
    pub(super) servers: PathBuf,
    /// Where the cycles' are.
    notes: PathBuf,
}

impl Testbed {
    /// Starts the servers in a directory of our own below `parent`, which goes with them. Histories
    /// and logs are there as well, unless they have a place of their own.
    pub(super) async fn open(parent: &Path, notes: Option<&Path>) -> anyhow::Result<Self> {
        let servers = parent.join(format!("gomall-chaos-{}", std::process::id()));
        let notes = notes.map_or_else(|| servers.clone(), Path::to_path_buf);
        let options = StackOptions {
            max_connections: CONNECTIONS,
            remove_data: true,
            ..StackOptions::durable(&servers)
        };
        let stack = Stack::start(options, &|line| eprintln!("  {line}")).await?;
        stack.postgres.create_database(TEMPLATE).await?;
        let mut connection =
            PgConnectOptions::from_str(&stack.postgres.url(TEMPLATE))?.connect().await?;
        commands::MIGRATOR.run(&mut connection).await.context("migrating")?;
        connection.close().await?;
        Ok(Self { stack, servers, notes })
    }

    /// A database and a directory that nobody has used, and an empty broker.
    pub(super) async fn ground(&self, number: u32) -> anyhow::Result<Ground> {
        let database = format!("cycle_{number}");
        let directory = self.notes.join(&database);
        std::fs::create_dir_all(&directory)?;
        self.stack.postgres.create_database_from_template(&database, TEMPLATE).await?;
        if number > 1 {
            self.stack.nats.wipe().await?;
        }
        let url = self.stack.postgres.url(&database);
        Ok(Ground { options: PgConnectOptions::from_str(&url)?, url, database, directory })
    }

    /// Removes what a cycle leaves.
    pub(super) async fn clear(&self, ground: Ground) -> anyhow::Result<()> {
        self.stack.postgres.drop_database(&ground.database).await?;
        std::fs::remove_dir_all(&ground.directory)?;
        Ok(())
    }

    /// The port that NATS listens on.
    pub(super) fn nats_port(&self) -> anyhow::Result<u16> {
        let url = self.stack.nats.url();
        let (_, port) = url.rsplit_once(':').context("an address has a port")?;
        Ok(port.parse()?)
    }

    /// Ends the servers and removes their files.
    pub(super) async fn close(self) {
        self.stack.stop().await;
    }
}

/// What one cycle has for itself.
pub(super) struct Ground {
    /// The database, without a proxy in between.
    pub(super) url: String,
    /// The same, as options.
    pub(super) options: PgConnectOptions,
    database: String,
    /// For histories and logs.
    pub(super) directory: PathBuf,
}

impl Ground {
    /// The database's address through a proxy that listens on `port`.
    pub(super) fn url_through(&self, port: u16) -> String {
        format!(
            "postgres://{}@127.0.0.1:{port}/{}?sslmode=disable",
            self.options.get_username(),
            self.database
        )
    }

    /// A connection to the database, which may be just starting.
    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        patiently("PostgreSQL", || async { Ok(self.options.connect().await?) }).await
    }

    /// A file of this cycle.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
