//! Three nats-servers that are one JetStream: what a stream with replicas needs, and what a test
//! of losing a node kills.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Doing, StackError};
use crate::nats::{self, Home, Nats, Routes};
use crate::ports;
use crate::process::POLL;
use crate::servers::{NATS, Progress};
use crate::stack::{StackOptions, Supervision};

/// What the nodes' files are called.
const NODES: [&str; 3] = ["nats-1", "nats-2", "nats-3"];

/// The nodes elect a leader within nine seconds, and may have to do so twice.
const ELECTION_PATIENCE: Duration = Duration::from_secs(60);
/// A server that does not answer its monitoring port by then counts as down.
const MONITOR_PATIENCE: Duration = Duration::from_secs(1);

/// A JetStream cluster of three nodes on loopback, in a directory that goes with it, for tests that
/// lose nodes. Each node is stopped, killed and started again by itself.
///
/// [`stop`](Self::stop) ends all nodes in order, dropping it ends them at once; the guardian does
/// it when this process dies.
#[derive(Debug)]
pub struct NatsCluster {
    // Dropped first: it ends the servers, whose handles then reap them.
    _supervision: Supervision,
    nodes: [Nats; 3],
}

impl NatsCluster {
    /// Starts three nodes and waits until they have elected a leader.
    ///
    /// # Errors
    /// As [`Stack::start`](crate::Stack::start); nothing is left running then.
    pub async fn start(
        data_dir: impl Into<PathBuf>,
        progress: Progress<'_>,
    ) -> Result<Self, StackError> {
        let options = StackOptions::throwaway(data_dir);
        let (supervision, account) = Supervision::begin(&options, &[], progress).await?;
        let installation = NATS.find_or_install(None, &account, progress).await?;
        let routes = free_routes().doing(|| "looking for free ports")?;
        let launch = |node: usize| {
            let home = Home {
                installation: installation.clone(),
                account: account.clone(),
                servers: supervision.servers.clone(),
                name: NODES[node],
                routes: Some(Routes { own: routes[node], all: routes.clone() }),
                users: None,
            };
            Nats::launch(home, None)
        };
        let (first, second, third) = tokio::try_join!(launch(0), launch(1), launch(2))?;
        let cluster = Self { _supervision: supervision, nodes: [first, second, third] };
        cluster.whole_within(ELECTION_PATIENCE).await?;
        Ok(cluster)
    }

    /// Where clients connect to: the addresses of all nodes, separated by commas.
    pub fn url(&self) -> String {
        self.nodes.each_ref().map(Nats::url).join(",")
    }

    /// The nodes, to be stopped, killed and started.
    pub fn nodes(&self) -> &[Nats; 3] {
        &self.nodes
    }

    /// Which node leads a stream, as the first one says that knows; none during an election.
    pub async fn leader_of(&self, stream: &str) -> Option<usize> {
        for node in &self.nodes {
            let Some((200, about)) = monitor(node, "/jsz?accounts=true&streams=true").await else {
                continue;
            };
            let streams = about["account_details"].as_array().into_iter().flatten();
            let leader = streams
                .flat_map(|account| account["stream_detail"].as_array().into_iter().flatten())
                .find(|detail| detail["name"] == stream)
                .and_then(|detail| detail["cluster"]["leader"].as_str());
            if let Some(leader) = leader {
                return self.nodes.iter().position(|node| node.server_name() == leader);
            }
        }
        None
    }

    /// Whether every node runs and says that all it holds is as new as the leaders' copies: only
    /// then can the next one be lost.
    pub async fn is_whole(&self) -> bool {
        for node in &self.nodes {
            if !matches!(monitor(node, "/healthz").await, Some((200, _))) {
                return false;
            }
        }
        true
    }

    /// Stops all nodes, at the same time and in order: at most three and a half seconds.
    pub async fn stop(self) {
        let [first, second, third] = &self.nodes;
        tokio::join!(first.stop(), second.stop(), third.stop());
    }

    async fn whole_within(&self, patience: Duration) -> Result<(), StackError> {
        let deadline = Instant::now() + patience;
        while !self.is_whole().await {
            if Instant::now() >= deadline {
                return Err(StackError::NotStarted {
                    server: nats::NAME,
                    reason: format!("no leader within {} s", patience.as_secs()),
                    log: crate::log::tail(&self.nodes[0].log_path()),
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// A different free port for each node.
fn free_routes() -> std::io::Result<Vec<u16>> {
    let mut routes = Vec::new();
    while routes.len() < NODES.len() {
        let port = ports::free(None)?;
        if !routes.contains(&port) {
            routes.push(port);
        }
    }
    Ok(routes)
}

/// What a node's monitoring answers: the status and the document, if it is one.
async fn monitor(node: &Nats, path: &str) -> Option<(u16, Value)> {
    let port = node.ports().monitor;
    let answer = async {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        // In this version of HTTP the answer is never chunked and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    let answer = tokio::time::timeout(MONITOR_PATIENCE, answer).await.ok()??;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}
