//! Where a run is measured: a private server on the disk of the data directory, or databases of its
//! own on a server of the caller's. Both go when the run ends.

use super::BenchArgs;
use anyhow::Context as _;
use api::settings::Secret;
use compose::{Stack, StackOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Two databases that nobody else uses.
pub(super) struct Testbed {
    databases: [PgConnectOptions; 2],
    home: Home,
}

enum Home {
    /// Servers of our own, and the data directory if it was made for them.
    Private { stack: Box<Stack>, made: Option<PathBuf> },
    /// Somebody's server, reached with these options.
    Given { server: Box<PgConnectOptions>, names: [String; 2], nats_url: Option<Secret> },
}

impl Testbed {
    /// Starts or reaches a server that takes `connections` connections, and makes the databases.
    pub(super) async fn open(args: &BenchArgs, connections: u16) -> anyhow::Result<Self> {
        match &args.database_url {
            Some(url) => Self::on_given(url.reveal(), args.nats_url.clone(), connections).await,
            None => Self::on_private(&args.data_dir, connections).await,
        }
    }

    async fn on_given(
        url: &str,
        nats_url: Option<Secret>,
        connections: u16,
    ) -> anyhow::Result<Self> {
        let server = PgConnectOptions::from_str(url).map_err(|_| {
            anyhow::anyhow!("DATABASE_URL is not like postgres://user@host/database")
        })?;
        let mut connection = server.connect().await.context("PostgreSQL cannot be reached")?;
        let allowed: i64 = sqlx::query_scalar("select current_setting('max_connections')::bigint")
            .fetch_one(&mut connection)
            .await?;
        anyhow::ensure!(
            allowed >= i64::from(connections),
            "{connections} connections are needed and PostgreSQL allows {allowed}: \
             raise max_connections or ask for fewer --clients"
        );
        // Never the given database itself: it may be a shop's.
        let random = (api::shop::world().new_id)().simple();
        let names = ["", "_beside"]
            .map(|which| format!("gomall_bench_{}_{random}{which}", std::process::id()));
        for name in &names {
            sqlx::query(&format!("create database {name} template template0"))
                .execute(&mut connection)
                .await
                .context("a database for the run cannot be made")?;
        }
        connection.close().await?;
        let databases = names.each_ref().map(|name| server.clone().database(name));
        Ok(Self { databases, home: Home::Given { server: Box::new(server), names, nats_url } })
    }

    async fn on_private(data_dir: &Path, connections: u16) -> anyhow::Result<Self> {
        let made = (!data_dir.exists()).then(|| data_dir.to_owned());
        let options = StackOptions {
            max_connections: connections,
            remove_data: true,
            ..StackOptions::durable(data_dir.join(format!("bench-{}", std::process::id())))
        };
        let progress = |line: &str| eprintln!("  {line}");
        let stack = Box::new(Stack::start(options, &progress).await?);
        let names = ["bench", "bench_beside"];
        for name in names {
            stack.postgres.create_database(name).await?;
        }
        let [first, second] =
            names.map(|name| PgConnectOptions::from_str(&stack.postgres.url(name)));
        Ok(Self { databases: [first?, second?], home: Home::Private { stack, made } })
    }

    /// How to connect to the one that is measured.
    pub(super) fn database(&self) -> &PgConnectOptions {
        &self.databases[0]
    }

    /// The other one, for a scenario that compares two journals.
    pub(super) fn database_beside(&self) -> &PgConnectOptions {
        &self.databases[1]
    }

    /// Where NATS is.
    pub(super) fn nats_url(&self) -> anyhow::Result<String> {
        match &self.home {
            Home::Private { stack, .. } => Ok(stack.nats.url()),
            Home::Given { nats_url, .. } => nats_url
                .as_ref()
                .map(|url| url.reveal().to_owned())
                .context("a PostgreSQL of yours needs a NATS of yours beside it: set NATS_URL"),
        }
    }

    /// Ends the server and removes its files, or drops the database.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        match self.home {
            Home::Private { stack, made } => {
                stack.stop().await;
                if let Some(data_dir) = made {
                    // Somebody else may have put something there in the meantime.
                    let _ = fs::remove_dir(data_dir);
                }
            }
            Home::Given { server, names, nats_url: _ } => {
                let mut connection = server.connect().await?;
                for name in names {
                    sqlx::query(&format!("drop database {name} with (force)"))
                        .execute(&mut connection)
                        .await?;
                }
                connection.close().await?;
            }
        }
        Ok(())
    }
}

/// What a reader of the figures has to know of the server.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// As PostgreSQL says it.
    pub(super) version: String,
    /// Whether every commit is on disk before it is acknowledged.
    pub(super) durable: bool,
}

impl Server {
    pub(super) async fn ask(database: &PgConnectOptions) -> anyhow::Result<Self> {
        let mut connection: PgConnection = database.connect().await?;
        let (version, durable) = sqlx::query_as(
            "select current_setting('server_version'), \
                    current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off'",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(Self { version, durable })
    }
}
