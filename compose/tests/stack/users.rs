//! Whoever only reads the stream can read all of it, and do nothing else.

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions};
use compose::testing::scratch_dir;
use compose::{NatsUsers, Stack, StackOptions};
use futures::StreamExt;
use sqlx::{Connection, PgConnection};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

async fn connect(url: &str) -> Client {
    let (user, rest) = url.trim_start_matches("nats://").split_once(':').expect("a user");
    let (password, _) = rest.split_once('@').expect("a password");
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    let options = options.request_timeout(Some(Duration::from_secs(2)));
    options.connect(url).await.expect("the user is known")
}

#[tokio::test]
async fn an_analyst_reads_everything_and_can_do_nothing_else() {
    let users = NatsUsers { shop: "p1-_s".to_owned(), analyst: "p2".to_owned() };
    let directory = scratch_dir().join(format!("gomall-users-{}", std::process::id()));
    let options = StackOptions { nats_users: Some(users), ..StackOptions::throwaway(directory) };
    let stack = Stack::start(options, &|_| {}).await.expect("it starts");
    let anonymous = stack.nats.url().replace("shop:p1-_s@", "");
    assert!(async_nats::connect(anonymous).await.is_err(), "nobody comes in without a name");

    let shop = connect(&stack.nats.url()).await;
    let context = jetstream::new(shop.clone());
    let config = stream::Config {
        name: "GOMALL".into(),
        subjects: vec!["gomall.>".into()],
        allow_direct: true,
        ..stream::Config::default()
    };
    let made = context.create_stream(config.clone()).await.expect("the shop may");
    for number in 1..=3 {
        let stored = context.publish("gomall.order.OrderPlaced", number.to_string().into());
        stored.await.expect("connected").await.expect("stored");
    }
    let durable = |name: &str| pull::Config {
        durable_name: Some(name.to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    made.create_consumer(durable("notify")).await.expect("the shop may");

    let analyst = connect(&stack.nats.read_url()).await;
    let reading = jetstream::new(analyst.clone());
    let stream = reading.get_stream("GOMALL").await.expect("they may look");
    for consumer in [durable("mine"), pull::Config::default()] {
        let consumer = stream.create_consumer(consumer).await.expect("they may read");
        let mut messages = consumer.fetch().max_messages(3).messages().await.expect("readable");
        for number in 1..=3 {
            let message = messages.next().await.expect("there is one").expect("readable");
            assert_eq!(message.payload, number.to_string());
            message.ack().await.expect("they may");
        }
    }
    assert_eq!(stream.direct_get(2).await.expect("they may").payload, "2");

    // Nothing of this is answered, or it is refused.
    assert!(stream.create_consumer(durable("notify")).await.is_err());
    assert!(stream.delete_consumer("notify").await.is_err());
    assert!(reading.delete_stream("GOMALL").await.is_err());
    assert!(reading.update_stream(config).await.is_err());
    assert!(stream.purge().await.is_err());
    assert!(stream.delete_message(1).await.is_err());
    for name in ["name", "durable_name"] {
        let forged = format!(
            r#"{{"stream_name":"GOMALL","config":{{"{name}":"notify","deliver_policy":"last"}}}}"#
        );
        // The subject does not name it.
        let subject = "$JS.API.CONSUMER.CREATE.GOMALL";
        let _whatever_is_said = analyst.request(subject, forged.into()).await;
    }
    let other = stream::Config { name: "OTHER".into(), ..stream::Config::default() };
    assert!(reading.create_stream(other).await.is_err());
    let published = reading.publish("gomall.order.OrderPlaced", "forged".into()).await;
    assert!(published.expect("it is sent").await.is_err());
    analyst.publish("gomall.order.OrderPlaced", "forged".into()).await.expect("it is sent");
    // JetStream answers wherever the one who asks wants it.
    for asked in ["$JS.API.INFO", "$JS.API.STREAM.INFO.GOMALL", "$JS.API.STREAM.MSG.GET.GOMALL"] {
        let (reply, nothing) = ("gomall.order.OrderPlaced", "".into());
        analyst.publish_with_reply(asked, reply, nothing).await.expect("it is sent");
    }
    analyst.flush().await.expect("it is sent");
    // Whatever was asked has been answered: the server takes what one client says in order.
    stream.direct_get(1).await.expect("they may");
    let info = made.get_info().await.expect("it is there");
    assert_eq!((info.state.last_sequence, info.state.messages), (3, 3));
    let notify = made.consumer_info("notify").await.expect("it is there");
    assert_eq!(notify.config.deliver_policy, DeliverPolicy::All, "and as it was");
    stack.stop().await;
}

#[tokio::test]
async fn a_database_with_a_password_lets_in_nobody_else_also_one_of_an_older_build() {
    let directory = scratch_dir().join(format!("gomall-password-{}", std::process::id()));
    let options = |password: Option<&str>, remove_data| StackOptions {
        postgres_password: password.map(str::to_owned),
        remove_data,
        ..StackOptions::throwaway(&directory)
    };
    // As it was: whoever was on the machine was let in.
    let stack = Stack::start(options(None, false), &|_| {}).await.expect("it starts");
    stack.postgres.create_database("shop").await.expect("it is new");
    stack.stop().await;
    let mode = std::fs::metadata(&directory).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode & 0o066, 0, "nobody else lists it: {mode:o}");
    for password in ["first-_1", "second"] {
        let stack = Stack::start(options(Some(password), password == "second"), &|_| {})
            .await
            .expect("it starts");
        let url = stack.postgres.url("shop");
        PgConnection::connect(&url).await.expect("who has the password is let in");
        let without = url.replace(&format!(":{password}@"), "@");
        assert!(PgConnection::connect(&without).await.is_err(), "nobody is let in without");
        let wrong = url.replace(password, "wrong");
        assert!(PgConnection::connect(&wrong).await.is_err(), "nor with another");
        stack.postgres.restart().await.expect("it starts again");
        PgConnection::connect(&url).await.expect("it is as before");
        stack.stop().await;
    }
}
