//! What one process can be told to do. The settings themselves are in [`api::settings`].

mod naming;
mod secrets;

use crate::roles::casbin::Paths;
use api::settings::{
    DatabaseArgs, DatabaseUrl, HttpArgs, NatsUrl, OperationsArgs, Secret, ServerArgs, ShopArgs,
};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use domain::{EmailAddress, policy};
use ipnet::IpNet;
use projections::dead_letters::DeadLetterId;
use std::path::PathBuf;
use uuid::Uuid;

/// The back end of a shop, event-sourced. Without a command it is `gomall dev`.
#[derive(Debug, Parser)]
#[command(name = "gomall", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub role: Option<Role>,
    /// The settings of `dev`, for a bare `gomall`.
    #[command(flatten)]
    pub dev: DevArgs,
}

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// What clap says, which names a setting in the form in which it was given, and shows no secret.
    pub fn read() -> Result<Self, clap::Error> {
        let mut command = secrets::with_files(Self::command())?;
        let matches = command.try_get_matches_from_mut(std::env::args_os());
        let matches = matches.map_err(|error| naming::as_given(error, &command))?;
        Self::from_arg_matches(&matches)
    }
}

/// What one process does.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// The whole shop on a private PostgreSQL and NATS of its own.
    Dev(DevArgs),
    /// The whole shop on servers of yours.
    Serve(ServeArgs),
    /// Only publish to JetStream.
    Relay(WorkerArgs),
    /// Only keep the read models.
    Project(WorkerArgs),
    /// Only send mail.
    Notify(WorkerArgs),
    /// Build a read model anew, beside the live one, and swap.
    Rebuild(RebuildArgs),
    /// Compare the whole stream with the journal; fails when it is no copy.
    Audit(AuditArgs),
    /// Bring the database up to this build.
    Migrate(DatabaseArgs),
    /// Write the sample catalogue, once.
    Seed(ServerArgs),
    /// Make an administrator, give one a new password, or lift what bans one's address.
    Admin {
        /// What to do.
        #[command(subcommand)]
        action: AdminAction,
    },
    /// Show the permission rules and repair them, for whoever is locked out.
    Policy {
        /// What to do.
        #[command(subcommand)]
        action: PolicyAction,
    },
    /// Show the events that a read model or another consumer could not take in, and decide about them.
    DeadLetters {
        /// What to do.
        #[command(subcommand)]
        action: DeadLettersAction,
    },
    /// Measure this build beside its anchors, in the same run.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        scenario: laboratory::bench::Scenario,
    },
    /// Break things on purpose and see that every promise holds.
    Chaos {
        /// What to break.
        #[command(subcommand)]
        scenario: laboratory::chaos::Scenario,
    },
    /// Print the OpenAPI document.
    Openapi,
}

/// What to do with an administrator.
#[derive(Debug, Subcommand)]
pub enum AdminAction {
    /// Make an account with the role `admin` and print its password.
    Create(AdminArgs),
    /// Give the account a new password and print it.
    Reset(AdminArgs),
    /// Lift every ban that holds an address or a network.
    Unban {
        /// The address, or a network in CIDR.
        #[arg(value_parser = policy::parse_network)]
        address: IpNet,
        /// The servers.
        #[command(flatten)]
        servers: ServerArgs,
    },
}

/// What to do about the permission rules.
#[derive(Debug, Subcommand)]
pub enum PolicyAction {
    /// Print the rules, public paths and banned networks in force, one a line.
    List(ServerArgs),
    /// Take a rule, a public path or a ban of a network out of force, whatever hangs on it.
    Remove {
        /// Its id, as in the list.
        id: Uuid,
        /// The servers.
        #[command(flatten)]
        servers: ServerArgs,
    },
    /// Put exactly those rules and public paths in force that a new shop has; bans stay.
    Reset(ServerArgs),
    /// Write the rules and public paths in force as a file for review; bans are not in it.
    Export {
        /// Where to; to standard output when absent.
        file: Option<PathBuf>,
        /// The servers.
        #[command(flatten)]
        servers: ServerArgs,
    },
    /// Put exactly the rules and public paths of a file in force, all at once; bans stay.
    Import {
        /// The file, as `export` writes it.
        file: PathBuf,
        /// Take the file for a Casbin policy whose model compares paths like this, and add its rules to
        /// those in force.
        #[arg(long, value_name = "FUNCTION")]
        casbin: Option<Paths>,
        /// Only say what would change, and whether it would be refused.
        #[arg(long)]
        dry_run: bool,
        /// The servers.
        #[command(flatten)]
        servers: ServerArgs,
    },
    /// Ask a policy the cases of a file; fails when one is answered otherwise. Needs no servers.
    Test {
        /// The file with the cases.
        file: PathBuf,
        /// Another file with the policy; the file's own when absent.
        #[arg(long, value_name = "FILE", conflicts_with = "shop")]
        policy: Option<PathBuf>,
        /// Ask the shop's policy instead, as its read model has it.
        #[arg(long)]
        shop: bool,
        /// The shop's database.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true, required_if_eq("shop", "true"))]
        database_url: Option<DatabaseUrl>,
    },
}

/// What to do about dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersAction {
    /// Print all, one a line.
    List(DatabaseArgs),
    /// Let what waits with the letter be tried again, in order.
    Retry {
        /// `<consumer>.<position>`.
        id: DeadLetterId,
        /// The database.
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Let the event have no effect if it still cannot be applied; what waits behind it goes on.
    GiveUp {
        /// `<consumer>.<position>`.
        id: DeadLetterId,
        /// The database.
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

/// Which read model.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The projection's name, as in `/admin/projections`.
    pub projection: String,
    /// The servers; NATS is not used.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// Which stream, and whether to touch it.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Make it a copy: where publishing more is not enough the stream is deleted and filled anew.
    #[arg(long)]
    pub repair: bool,
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// Which administrator.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The account's e-mail address.
    #[arg(value_parser = EmailAddress::of_account)]
    pub email: EmailAddress,
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
}

/// The settings of `dev`.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// Where to keep everything.
    #[arg(long, env = "GOMALL_DATA_DIR", default_value = ".gomall")]
    pub data_dir: PathBuf,
    /// PostgreSQL of your own instead of a private one; give both servers or none.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, requires = "nats_url")]
    pub database_url: Option<DatabaseUrl>,
    /// NATS of your own instead of a private one; give both servers or none.
    #[arg(long, env = "NATS_URL", hide_env_values = true, requires = "database_url")]
    pub nats_url: Option<NatsUrl>,
    /// The administrator's address, for the first start.
    #[arg(long, env = "GOMALL_ADMIN_EMAIL", value_parser = parse_email, default_value = "admin@example.com")]
    pub admin_email: EmailAddress,
    /// The administrator's password, for the first start; made and printed when absent.
    #[arg(long, env = "GOMALL_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<Secret>,
    /// How to serve.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Everything else.
    #[command(flatten)]
    pub shop: ShopArgs,
}

/// The settings of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// How to serve.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Do not publish, project, mail or settle in this process: others do.
    #[arg(long, env = "GOMALL_NO_WORKERS")]
    pub no_workers: bool,
}

/// The settings of a role that is one worker.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// The servers.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// What the operator may look at.
    #[command(flatten)]
    pub operations: OperationsArgs,
}

fn parse_email(text: &str) -> Result<EmailAddress, domain::InvalidValue> {
    EmailAddress::parse(text)
}
