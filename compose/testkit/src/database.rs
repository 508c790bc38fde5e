//! Databases with the shop's tables.

use compose::testing::{TestDatabase, TestStack};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, PgPool};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// A migrated database of the test's own, on the servers that all tests of a run share.
pub async fn database() -> TestDatabase {
    TestStack::shared().await.database_from("migrated", async |url| migrate(&url).await).await
}

/// Connections to a [`database`].
pub async fn pool() -> PgPool {
    PgPool::connect(database().await.url()).await.expect("it was just made")
}

/// Migrates an empty database, and leaves no connection to it.
pub async fn migrate(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("it was just made");
    MIGRATIONS.run(&mut connection).await.expect("the migrations run on an empty database");
    connection.close().await.expect("nothing is under way");
}
