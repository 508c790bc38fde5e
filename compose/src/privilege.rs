//! Which account the servers run under. PostgreSQL refuses to run as root, and nothing else needs
//! to: as root everything runs as `postgres`, else `nobody`; otherwise as ourselves.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Doing, StackError};

/// Tried in this order when we are root.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// The account that the servers run under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The one we run under ourselves.
    Own,
    /// An unprivileged one, because we are root.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    /// Chooses the account. Data that an earlier run left keeps its owner, whoever that was: a
    /// normal user's data directory stays usable after one start as root.
    pub(crate) fn choose(existing_data: &Path) -> Result<Self, StackError> {
        if !is_root() {
            return Ok(Self::Own);
        }
        let owner = fs::metadata(existing_data).ok().filter(|data| data.uid() != 0);
        if let Some(owner) = owner {
            let (uid, gid) = (owner.uid(), owner.gid());
            return Ok(Self::Other { name: format!("uid {uid}"), uid, gid });
        }
        let passwd = fs::read_to_string("/etc/passwd").doing(|| "reading /etc/passwd")?;
        ACCOUNTS
            .iter()
            .find_map(|name| {
                let (uid, gid) = look_up(&passwd, name)?;
                Some(Self::Other { name: (*name).to_owned(), uid, gid })
            })
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            .doing(|| format!("PostgreSQL refuses root, looking for one of {ACCOUNTS:?} instead"))
    }

    /// A name for messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Own => "our own",
            Self::Other { name, .. } => name,
        }
    }

    /// A command under this account, with an environment that says nothing about our own: `PGPORT`
    /// or `LD_LIBRARY_PATH` of a developer's shell must not change what a test runs on. When the
    /// user changes, the standard library drops the supplementary groups as well.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Whether this account can enter a directory. The kernel is asked, under that account, since
    /// only it knows about every parent directory and access control list.
    pub(crate) fn can_enter(&self, directory: &Path) -> bool {
        let mut test = self.command(Path::new("/bin/sh"));
        test.args(["-c", "test -x \"$1\"", "sh"]).arg(directory);
        test.stdout(Stdio::null()).stderr(Stdio::null());
        test.status().is_ok_and(|status| status.success())
    }

    /// Creates a directory that belongs to this account and that nobody else can enter.
    pub(crate) fn create_own_dir(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => {
                std::os::unix::fs::chown(directory, Some(*uid), Some(*gid))
            }
        }
    }
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn look_up(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:8::/:/bin/sh\n\
                      postgres:x:101:104:admin,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(look_up(passwd, "postgres"), Some((101, 104)));
        assert_eq!(look_up(passwd, "nobody"), None);
    }

    #[test]
    fn only_what_an_account_can_really_enter_counts() {
        let account = Account::choose(Path::new("/nonexistent")).expect("Debian has `nobody`");
        assert!(account.can_enter(Path::new("/tmp")));
        assert!(!account.can_enter(Path::new("/nonexistent")));
        assert!(!account.can_enter(Path::new("/etc/passwd")), "a file is no directory");
    }
}
