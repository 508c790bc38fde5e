//! The processes that write in every scenario, and the one that follows.

use super::check::Evidence;
use super::child::Child;
use super::cycle::Cycle;
use super::history::Line;
use super::{gather, history, patiently};
use std::path::PathBuf;

/// Who works in a cycle.
pub(super) struct Crew {
    workers: Vec<Worker>,
    follower: Child,
    follows: PathBuf,
}

struct Worker {
    child: Child,
    slot: u32,
    life: u32,
    url: String,
    history: PathBuf,
}

/// How the workers behave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Whether their clients leave in the middle of requests.
    pub(super) leave: bool,
}

impl Crew {
    /// Starts a worker for every one of `urls`, and a follower.
    pub(super) fn start(
        cycle: &Cycle<'_>,
        urls: &[String],
        manner: Manner,
    ) -> anyhow::Result<Self> {
        let follows = cycle.ground.file("tail.jsonl");
        let follower = follower(cycle, &follows)?;
        let mut workers = vec![];
        for (slot, url) in (0..).zip(urls) {
            let history = cycle.ground.file(&format!("worker-{slot}.jsonl"));
            let child = worker(cycle, slot, 0, url, &history, manner)?;
            workers.push(Worker { child, slot, life: 0, url: url.clone(), history });
        }
        Ok(Self { workers, follower, follows })
    }

    /// One of the workers.
    pub(super) fn worker(&mut self, index: usize) -> &mut Child {
        &mut self.workers[index].child
    }

    /// Waits until every worker has begun to work: what comes before is the same in every cycle.
    pub(super) async fn at_work(&self) -> anyhow::Result<()> {
        patiently("a worker", async || {
            for worker in &self.workers {
                let begun: Vec<Line> = history::read(&worker.history)?;
                anyhow::ensure!(!begun.is_empty(), "worker {} has not begun", worker.slot);
            }
            Ok(())
        })
        .await
    }

    /// Lets the workers finish what they are at, and begin nothing new.
    pub(super) async fn enough(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            worker.child.tell("enough").await?;
        }
        Ok(())
    }

    /// Kills a worker and starts its next life, which goes on where its history ends.
    pub(super) async fn reincarnate(
        &mut self,
        cycle: &Cycle<'_>,
        index: usize,
    ) -> anyhow::Result<()> {
        let worker = &mut self.workers[index];
        worker.child.kill9().await?;
        worker.life += 1;
        let Worker { slot, life, url, history, .. } = worker;
        worker.child = self::worker(cycle, *slot, *life, url, history, Manner::default())?;
        Ok(())
    }

    /// Kills the follower and starts it again.
    pub(super) async fn reincarnate_follower(&mut self, cycle: &Cycle<'_>) -> anyhow::Result<()> {
        self.follower.kill9().await?;
        self.follower = follower(cycle, &self.follows)?;
        Ok(())
    }

    /// Waits until everything is written and followed, and gathers what was recorded.
    pub(super) async fn finish(mut self, cycle: &Cycle<'_>) -> anyhow::Result<Evidence> {
        for worker in &mut self.workers {
            worker.child.ends_well().await?;
        }
        let mut evidence = gather::journal(cycle).await?;
        self.follower.tell(&evidence.journal.len().to_string()).await?;
        self.follower.ends_well().await?;
        for worker in &self.workers {
            evidence.histories.push(history::read(&worker.history)?);
        }
        evidence.tails.push(history::read(&self.follows)?);
        Ok(evidence)
    }
}

fn worker(
    cycle: &Cycle<'_>,
    slot: u32,
    life: u32,
    url: &str,
    history: &std::path::Path,
    manner: Manner,
) -> anyhow::Result<Child> {
    let number = |number: u32| number.to_string();
    let (seed, slot, life) = (cycle.seed.to_string(), number(slot), number(life));
    let (clients, operations) = (number(cycle.load.clients), number(cycle.load.operations));
    let history = history.to_string_lossy();
    let mut role = vec!["chaos", "work", "--seed", &seed, "--slot", &slot, "--life", &life];
    role.extend(["--clients", &clients, "--operations", &operations, "--history", &history]);
    if manner.leave {
        role.push("--leave");
    }
    cycle.start(format!("worker {slot}"), &role, &[("DATABASE_URL", url)])
}

fn follower(cycle: &Cycle<'_>, history: &std::path::Path) -> anyhow::Result<Child> {
    let history = history.to_string_lossy();
    let environment = [("DATABASE_URL", cycle.ground.url.as_str())];
    cycle.start("follower", &["chaos", "follow", "--history", &history], &environment)
}
