use std::path::Path;
use std::process::Command;
use std::time::Duration;

use compose::Durability;
use compose::testing::{eventually, private};
use sqlx::{Connection, PgConnection};

use crate::{connect, processes_mentioning, publish, published, remember, remembered};

#[tokio::test]
async fn postgres_survives_every_way_of_being_stopped() {
    let stack = private(Durability::Volatile).await;
    stack.postgres.create_database("shop").await.expect("it is created");
    remember(&stack, 1).await;
    stack.postgres.kill9().await;
    PgConnection::connect(&stack.postgres.url("shop")).await.expect_err("it was killed");
    stack.postgres.start().await.expect("it recovers");
    remember(&stack, 2).await;
    stack.postgres.stop_immediate().await;
    stack.postgres.start().await.expect("it recovers");
    remember(&stack, 3).await;
    stack.postgres.restart().await.expect("it starts");
    assert_eq!(remembered(&stack).await, [1, 2, 3]);
    assert!(stack.postgres.drop_database("shop").await.expect("it is dropped"));
    assert!(!stack.postgres.drop_database("shop").await.expect("there is none"));
}

#[tokio::test]
async fn nats_comes_back_on_its_port_with_its_streams_unless_it_is_wiped() {
    let stack = private(Durability::Volatile).await;
    publish(&stack, "one").await;
    let url = stack.nats.url();
    stack.nats.stop().await;
    assert!(stack.nats.pid().await.is_none());
    async_nats::connect(&url).await.expect_err("it is stopped");
    stack.nats.start().await.expect("it starts");
    assert_eq!(stack.nats.url(), url);
    assert_eq!(published(&stack).await, Some(1));
    stack.nats.kill9().await;
    stack.nats.start().await.expect("it starts");
    assert_eq!(published(&stack).await, Some(1));
    stack.nats.wipe().await.expect("it starts empty");
    assert_eq!(published(&stack).await, None);
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_and_one_that_was_stopped_is_not() {
    let stack = private(Durability::Volatile).await;
    stack.postgres.create_database("shop").await.expect("it is created");
    remember(&stack, 1).await;
    publish(&stack, "one").await;
    let dies = async {
        for pid in [stack.postgres.pid().await, stack.nats.pid().await] {
            let pid = pid.expect("it runs").to_string();
            let killed = Command::new("kill").args(["-9", &pid]).status().expect("kill is there");
            assert!(killed.success());
        }
        // Those who look for it find it again, on its port and with what it had.
        let url = stack.postgres.url("shop");
        eventually("the database is back", async || PgConnection::connect(&url).await.is_ok())
            .await;
        remember(&stack, 2).await;
        let url = stack.nats.url();
        eventually("the broker is back", async || async_nats::connect(&url).await.is_ok()).await;
        assert_eq!(published(&stack).await, Some(1));
        stack.nats.stop().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(stack.nats.pid().await.is_none());
    };
    tokio::select! {
        () = dies => {}
        never = stack.keep_running(|_| {}) => match never {},
    }
    assert_eq!(remembered(&stack).await, [1, 2]);
}

#[tokio::test]
async fn a_private_stack_is_gone_with_its_directory_when_it_is_dropped() {
    let stack = private(Durability::Durable).await;
    let log = stack.postgres.log_path();
    let directory = log.parent().and_then(Path::parent).expect("it lies in the data directory");
    let mut database = connect(&stack.postgres.url("postgres")).await;
    let fsync: String = sqlx::query_scalar("SHOW fsync")
        .fetch_one(&mut database)
        .await
        .expect("the server answers");
    assert_eq!(fsync, "on");
    drop(stack);
    assert_eq!(processes_mentioning(directory), Vec::<u32>::new());
    assert!(!directory.exists());
}
