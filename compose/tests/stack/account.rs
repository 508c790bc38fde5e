use std::fs;
use std::os::unix::fs::PermissionsExt;

use compose::Durability;
use compose::testing::private;

use crate::{Temp, start, uid_of};

#[tokio::test]
async fn the_servers_never_run_as_root_and_listen_on_loopback_only() {
    let stack = private(Durability::Volatile).await;
    let pids = [stack.postgres.pid().await, stack.nats.pid().await];
    for pid in pids.map(|pid| pid.expect("it runs")) {
        let uid = uid_of(&pid.to_string());
        assert_ne!(uid, 0, "process {pid}");
        let us = uid_of("self");
        assert!(us == 0 || us == uid, "a normal user's servers are that user's");
    }
    let port = stack.postgres.port();
    let elsewhere = std::net::TcpStream::connect(("127.0.0.2", port));
    assert!(elsewhere.is_err(), "127.0.0.2 is this machine, but not where the server listens");
    stack.stop().await;
}

#[tokio::test]
async fn data_that_the_servers_cannot_reach_goes_elsewhere() {
    let temp = Temp::new(&std::env::temp_dir(), "closed");
    let closed = temp.0.join("closed");
    let data_dir = closed.join("data");
    fs::create_dir_all(&data_dir).expect("it is ours");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("it is ours");

    let stack = start(&data_dir).await;
    let home = data_dir.join("servers").canonicalize().expect("it is in use");
    let root = uid_of("self") == 0;
    assert_eq!(home.starts_with("/var/lib/gomall"), root, "{}", home.display());
    assert_ne!(home.starts_with(&data_dir), root, "{}", home.display());
    stack.stop().await;
    if root {
        fs::remove_dir_all(home).expect("it stays with the data directory");
    }
}
