//! What happens when servers go away, on a stack of the test's own.

use crate::support::Shop;
use compose::Durability;
use compose::testing::eventually;
use nats::{RelayState, StreamConfig};
use sqlx::PgPool;
use testkit::migrate;

#[tokio::test]
async fn nats_may_stop_crash_or_lose_everything_and_the_stream_catches_up() {
    let stack = compose::testing::private(Durability::Volatile).await;
    stack.postgres.create_database("shop").await.expect("an empty cluster");
    let url = stack.postgres.url("shop");
    migrate(&url).await;
    let pool = PgPool::connect(&url).await.expect("it was just made");
    let shop = Shop::on(pool, &stack.nats.url(), StreamConfig::default()).await;
    let mut relay = shop.start_relay();
    shop.append_many(300);
    shop.is_published().await;

    stack.nats.stop().await;
    shop.append_many(300);
    relay.is(|state| *state == RelayState::Waiting).await;
    stack.nats.start().await.expect("the same ports");
    shop.is_published().await;

    stack.nats.kill9().await;
    shop.append_many(300);
    stack.nats.start().await.expect("the same ports");
    shop.is_published().await;

    // Nothing new is appended: the relay has to see by itself that everything is gone.
    stack.nats.wipe().await.expect("the same ports");
    eventually("it is filled again", async || {
        shop.published().await == Some(shop.journal.head().get())
    })
    .await;
    shop.check_copy().await;
    drop(relay);
    stack.stop().await;
}
