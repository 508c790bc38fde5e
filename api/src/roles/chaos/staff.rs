//! The roles of the binary that follow the journal, each in processes of its own: relays and
//! projections. One of each kind works, the other stands by.

use super::check::Evidence;
use super::child::Child;
use super::cycle::Cycle;
use super::proxy::{Proxy, Trap};
use super::{gather, patiently, rows};
use anyhow::Context as _;
use futures::future::select_all;
use std::time::Duration;

/// Processes of each role.
const OF_EACH: usize = 2;

/// The longest that somebody is waited for who shall fall into a trap.
const TRAP_PATIENCE: Duration = Duration::from_secs(5);

/// What a process of the staff does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Publishes to JetStream.
    Relay,
    /// Keeps the read models.
    Project,
}

impl Duty {
    fn role(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Project => "project",
        }
    }
}

/// Everybody who follows.
pub(super) struct Staff {
    members: Vec<Member>,
}

struct Member {
    duty: Duty,
    name: String,
    child: Child,
    /// Between this process and PostgreSQL.
    postgres: Proxy,
    /// Between this process and NATS.
    nats: Proxy,
}

impl Staff {
    /// Starts two processes of each of these roles.
    pub(super) async fn start(cycle: &Cycle<'_>, duties: &[Duty]) -> anyhow::Result<Self> {
        let mut members = vec![];
        for &duty in duties {
            for number in 0..OF_EACH {
                let postgres = Proxy::to_postgres(cycle.place.stack.postgres.port()).await?;
                let nats = Proxy::to_nats(cycle.place.nats_port()?).await?;
                let name = format!("{} {number}", duty.role());
                let child = start(cycle, duty, &name, &postgres, &nats)?;
                members.push(Member { duty, name, child, postgres, nats });
            }
        }
        Ok(Self { members })
    }

    /// The numbers of those who have a duty, in the order in which they were started.
    pub(super) fn with(&self, duty: Duty) -> Vec<usize> {
        (0..self.members.len()).filter(|index| self.members[*index].duty == duty).collect()
    }

    /// What one of them is called.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.members[index].name
    }

    /// The process of one of them.
    pub(super) fn child(&self, index: usize) -> &Child {
        &self.members[index].child
    }

    /// Kills one of them.
    pub(super) async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        self.members[index].child.kill9().await
    }

    /// Kills one of them, unless it is dead, and starts it again.
    pub(super) async fn replace(&mut self, cycle: &Cycle<'_>, index: usize) -> anyhow::Result<()> {
        let member = &mut self.members[index];
        member.child.kill9().await?;
        let Member { duty, name, postgres, nats, .. } = &*member;
        member.child = start(cycle, *duty, name, postgres, nats)?;
        Ok(())
    }

    /// Sets a trap for all who have a duty; tells who fell into it, if anybody did in time.
    pub(super) async fn trap(&self, duty: Duty, trap: Trap) -> Option<usize> {
        let members = self.with(duty);
        let proxy = |index: usize| match duty {
            Duty::Relay => &self.members[index].nats,
            Duty::Project => &self.members[index].postgres,
        };
        let sprung = select_all(members.iter().map(|index| proxy(*index).arm(trap)));
        let first = tokio::time::timeout(TRAP_PATIENCE, sprung).await;
        members.iter().for_each(|index| proxy(*index).disarm());
        first.ok().map(|(_, first, _)| members[first])
    }

    /// Waits until everything is published and projected, and adds what came of it.
    pub(super) async fn settle(
        mut self,
        cycle: &Cycle<'_>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<()> {
        let head = u64::try_from(evidence.journal.len())?;
        if !self.with(Duty::Relay).is_empty() {
            evidence.stream = Some(patiently("the relay", || gather::stream(cycle, head)).await?);
        }
        if !self.with(Duty::Project).is_empty() {
            patiently("the projections", || rows::are_at(cycle, head)).await?;
            evidence.found.extend(rows::differ_from_rebuilt(cycle).await?);
        }
        for member in &mut self.members {
            member.child.terminate().await?;
        }
        Ok(())
    }
}

fn start(
    cycle: &Cycle<'_>,
    duty: Duty,
    name: &str,
    postgres: &Proxy,
    nats: &Proxy,
) -> anyhow::Result<Child> {
    let database = cycle.ground.url_through(postgres.port());
    let broker = format!("nats://127.0.0.1:{}", nats.port());
    let data = cycle.ground.file("data");
    let environment = [
        ("DATABASE_URL", database.as_str()),
        ("NATS_URL", broker.as_str()),
        ("GOMALL_DATA_DIR", data.to_str().context("a path of our own is text")?),
        ("GOMALL_LOG", "info"),
    ];
    cycle.start(name, &[duty.role()], &environment)
}
