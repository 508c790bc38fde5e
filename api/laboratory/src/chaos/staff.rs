//! The roles of the binary, each in processes of its own. Of relays and projections one works and
//! the other stands by; of those who send mail and those who serve both work.

use super::check::{Evidence, Violation};
use super::child::Child;
use super::cycle::Cycle;
use super::mailbox::Mailbox;
use super::proxy::{Proxy, Trap};
use super::{LOOK, PATIENCE, gather, rows};
use futures::future::select_all;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

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
    /// Sends mail.
    Notify,
    /// Serves HTTP.
    Serve,
}

impl Duty {
    fn role(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Project => "project",
            Self::Notify => "notify",
            Self::Serve => "serve",
        }
    }
}

/// Everybody who follows.
pub(super) struct Staff {
    members: Vec<Member>,
    /// Where mails go.
    mailbox: Mailbox,
}

struct Member {
    duty: Duty,
    name: String,
    child: Child,
    /// Between this process and PostgreSQL.
    postgres: Proxy,
    /// Between this process and NATS.
    nats: Proxy,
    /// Where it serves, if it does.
    http: Option<SocketAddr>,
}

impl Staff {
    /// Starts two processes of each of these roles.
    pub(super) async fn start(cycle: &Cycle<'_>, duties: &[Duty]) -> anyhow::Result<Self> {
        let mut staff = Self { members: vec![], mailbox: Mailbox::open().await? };
        for &duty in duties {
            for number in 0..OF_EACH {
                let postgres = Proxy::to_postgres(cycle.testbed.stack.postgres.port()).await?;
                let nats = Proxy::to_nats(cycle.testbed.nats_port()?).await?;
                let http = match duty {
                    Duty::Serve => Some(free_address()?),
                    Duty::Relay | Duty::Project | Duty::Notify => None,
                };
                let name = format!("{} {number}", duty.role());
                let child = start(cycle, &staff.mailbox, duty, &name, (&postgres, &nats), http)?;
                staff.members.push(Member { duty, name, child, postgres, nats, http });
            }
        }
        Ok(staff)
    }

    /// Where HTTP is served.
    pub(super) fn addresses(&self) -> Vec<String> {
        let serving = self.members.iter().filter_map(|member| member.http);
        serving.map(|address| format!("http://{address}")).collect()
    }

    /// Where all mails go.
    pub(super) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
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
        let Member { duty, name, postgres, nats, http, .. } = &*member;
        member.child = start(cycle, &self.mailbox, *duty, name, (postgres, nats), *http)?;
        Ok(())
    }

    /// Sets a trap for all who have a duty; tells who fell into it, if anybody did in time.
    pub(super) async fn trap(&self, duty: Duty, trap: Trap) -> Option<usize> {
        let members = self.with(duty);
        let proxy = |index: usize| match duty {
            Duty::Relay => &self.members[index].nats,
            Duty::Project | Duty::Notify | Duty::Serve => &self.members[index].postgres,
        };
        let sprung = select_all(members.iter().map(|index| proxy(*index).arm(trap)));
        let first = tokio::time::timeout(TRAP_PATIENCE, sprung).await;
        members.iter().for_each(|index| proxy(*index).disarm());
        first.ok().map(|(_, first, _)| members[first])
    }

    /// Lets every connection to the servers be silent, or new ones be answered again.
    pub(super) fn be_silent(&self, silent: bool) {
        for member in &self.members {
            member.postgres.be_silent(silent);
            member.nats.be_silent(silent);
        }
    }

    /// Lets go on what the trap for one of those who publish has kept back.
    pub(super) async fn let_go(&self, index: usize) -> anyhow::Result<()> {
        self.members[index].nats.let_go().await
    }

    /// Starts again who has ended by itself, as a supervisor does: a process that starts while
    /// PostgreSQL is away says so and ends.
    pub(super) async fn supervise(&mut self, cycle: &Cycle<'_>) -> anyhow::Result<()> {
        for index in 0..self.members.len() {
            if !self.members[index].child.runs() {
                self.replace(cycle, index).await?;
            }
        }
        Ok(())
    }

    /// Waits until everything is published and projected, and adds what came of it.
    pub(super) async fn settle(
        mut self,
        cycle: &Cycle<'_>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<()> {
        let head = u64::try_from(evidence.journal.len())?;
        if !self.with(Duty::Relay).is_empty() {
            match self.wait(cycle, async || gather::stream(cycle, head).await).await? {
                Ok(stream) => evidence.stream = Some(stream),
                Err(what) => evidence.found.push(Violation { rule: "stream", what }),
            }
        }
        if !self.with(Duty::Project).is_empty() {
            match self.wait(cycle, async || rows::are_at(cycle, head).await).await? {
                Ok(()) => evidence.found.extend(rows::differ_from_rebuilt(cycle).await?),
                Err(what) => evidence.found.push(Violation { rule: "read models", what }),
            }
        }
        for member in &mut self.members {
            member.child.terminate().await?;
        }
        Ok(())
    }

    /// Looks until something has come, or says why it has not come in time.
    async fn wait<T>(
        &mut self,
        cycle: &Cycle<'_>,
        look: impl AsyncFn() -> anyhow::Result<T>,
    ) -> anyhow::Result<Result<T, String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.supervise(cycle).await?;
            match look().await {
                Ok(found) => return Ok(Ok(found)),
                Err(error) if Instant::now() >= deadline => return Ok(Err(format!("{error:#}"))),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

fn start(
    cycle: &Cycle<'_>,
    mailbox: &Mailbox,
    duty: Duty,
    name: &str,
    (postgres, nats): (&Proxy, &Proxy),
    http: Option<SocketAddr>,
) -> anyhow::Result<Child> {
    let database = cycle.ground.url_through(postgres.port());
    let broker = format!("nats://127.0.0.1:{}", nats.port());
    let mails = mailbox.url();
    let environment = [
        ("GOMALL_SANDBOX", "true"),
        ("DATABASE_URL", database.as_str()),
        ("NATS_URL", broker.as_str()),
        ("GOMALL_SMTP_URL", mails.as_str()),
        ("GOMALL_LIMITS", "off"),
        ("GOMALL_LOG", "info"),
    ];
    let http = http.map(|address| address.to_string());
    let mut role = vec![duty.role()];
    if let Some(http) = &http {
        role.extend(["--no-workers", "--http", http]);
    }
    cycle.start(name, &role, &environment)
}

/// An address of loopback that was free a moment ago, for a process that is to be found there again
/// after it was killed.
fn free_address() -> std::io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}
