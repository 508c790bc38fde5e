//! A broker that acknowledged before its disk did: what it has stored is torn when it comes back.
//!
//! What a server has in memory beside its files is gone as well, so it is killed, not stopped.

use crate::support::Shop;
use compose::testing::eventually;
use compose::{Durability, Nats};
use nats::StreamConfig;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use testkit::pool;

/// Ends in the middle of a message, which takes some hundred bytes.
const TORN_BYTES: u64 = 1_003;

/// What became of the end of the newest file of messages.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// It is missing.
    Cut,
    /// It holds something else.
    Garbage,
    /// It holds nothing, as a page that was given out and never written.
    Zeroes,
    /// One message within, far from the end, is something else.
    Within,
    /// Something follows.
    Tail,
    /// Nothing of the file is there.
    Empty,
}

#[tokio::test]
async fn a_store_that_is_torn_when_the_broker_comes_back_becomes_the_copy_again() {
    let stack = compose::testing::private(Durability::Volatile).await;
    let shop = Shop::on(pool().await, &stack.nats.url(), StreamConfig::default()).await;
    for damage in
        [Damage::Cut, Damage::Garbage, Damage::Zeroes, Damage::Within, Damage::Tail, Damage::Empty]
    {
        let relay = shop.start_relay();
        shop.append_many(200);
        is_copy(&shop).await;
        stack.nats.kill9().await;
        damage.inflict(&stack.nats, &shop.stream.name);
        stack.nats.start().await.expect("it comes up with what is left");
        // Nothing tells the relay but the stream itself.
        shop.append_many(1);
        is_copy(&shop).await;
        drop(relay);
    }
    stack.stop().await;
}

/// Message n is event n again, from the first to the last.
async fn is_copy(shop: &Shop) {
    let head = shop.journal.head().get();
    eventually("the stream is whole", async || {
        let stream = shop.jetstream.get_stream(&shop.stream.name).await;
        stream.is_ok_and(|stream| {
            let state = &stream.cached_info().state;
            (state.messages, state.last_sequence) == (head, head)
        })
    })
    .await;
    shop.check_copy().await;
}

impl Damage {
    fn inflict(self, nats: &Nats, stream: &str) {
        let path = newest_block(nats, stream);
        let file =
            OpenOptions::new().write(true).open(&path).expect("the server's account is ours");
        let length = file.metadata().expect("it is open").len();
        let end = length.checked_sub(TORN_BYTES).expect("it holds two hundred messages");
        let torn = usize::try_from(TORN_BYTES).expect("it is small");
        match self {
            Self::Cut => file.set_len(end),
            Self::Garbage => file.write_all_at(&vec![0xa5; torn], end),
            Self::Zeroes => file.write_all_at(&vec![0; torn], end),
            Self::Within => file.write_all_at(&[0xa5; 8], length / 2),
            Self::Tail => file.write_all_at(&vec![0xa5; torn], length),
            Self::Empty => file.set_len(0),
        }
        .expect("the file can be written");
    }
}

/// The file of the stream's last messages.
fn newest_block(nats: &Nats, stream: &str) -> PathBuf {
    let directory = nats.store_path().join("jetstream/$G/streams").join(stream).join("msgs");
    let files = fs::read_dir(&directory).expect("the server keeps its messages there").flatten();
    let blocks = files.filter_map(|file| {
        let number: u64 = file.file_name().to_str()?.strip_suffix(".blk")?.parse().ok()?;
        Some((number, file.path()))
    });
    blocks.max().expect("there is at least one file").1
}
