use std::path::Path;
use std::time::Duration;

use compose::NatsCluster;
use compose::testing::scratch_dir;

use crate::{ROLE, Temp, as_owner, eventually, processes_mentioning, wait_for_line};

#[tokio::test]
async fn no_node_of_a_cluster_outlives_its_owner() {
    const NAME: &str = "cluster::no_node_of_a_cluster_outlives_its_owner";
    if let Some(data_dir) = std::env::var_os(ROLE) {
        let _cluster = start(Path::new(&data_dir)).await;
        println!("\nready");
        return std::future::pending().await;
    }
    let temp = Temp::new(&scratch_dir(), "nodes");
    let mut owner = as_owner(NAME, &temp.0).spawn().expect("we can be started again");
    wait_for_line(&mut owner, "ready");
    let nodes = || processes_mentioning(&temp.0.join("servers")).len();
    // Three nodes, and the guardian that is to stop them.
    assert_eq!(nodes(), 4);
    owner.kill().expect("it runs");
    owner.wait().expect("it was killed");
    eventually("no node is left", Duration::from_secs(10), || nodes() == 0).await;

    // A drop is the other end.
    let cluster = start(&temp.0).await;
    assert_eq!(nodes(), 4);
    drop(cluster);
    assert_eq!(nodes(), 0);
}

async fn start(data_dir: &Path) -> NatsCluster {
    NatsCluster::start(data_dir, &|line| eprintln!("{line}")).await.expect("a cluster starts")
}
