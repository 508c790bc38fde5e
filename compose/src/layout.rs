//! Where a stack keeps its files.
//!
//! ```text
//! <data dir>/stack.lock    held by the owner and by its guardian; names the owner
//! <data dir>/stack.json    the ports of the last start
//! <data dir>/guardian.sh
//! <data dir>/servers/      postgres/, postgres.log, nats/, nats.conf, nats.log
//! ```
//!
//! `servers` is a link to a directory below `/var/lib/gomall` when the servers' account cannot
//! enter the data directory, as below root's home.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, StackError};
use crate::privilege::{Account, is_root};
use crate::process::{POLL, ProcessId};
use crate::servers::Progress;
use crate::stack::fingerprint;

/// Data of servers whose account cannot enter the data directory.
const ELSEWHERE: &str = "/var/lib/gomall";

/// A guardian stops the servers within six seconds of its owner's death and then ends.
const GUARDIAN_PATIENCE: Duration = Duration::from_secs(15);

/// An owner that was killed just now takes a moment to be gone.
const OWNER_GRACE: Duration = Duration::from_millis(500);

/// What the next start, and other processes of the same test run, want to know.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) postgres: u16,
    pub(crate) nats: u16,
    pub(crate) nats_monitor: u16,
}

impl Ports {
    /// The ports of the last start, if there was one.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data_dir.join("stack.json")).ok()?).ok()
    }

    /// Writes the ports, whole or not at all.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), StackError> {
        let new = data_dir.join("stack.json.new");
        let doing = || format!("writing {}", data_dir.join("stack.json").display());
        let text = serde_json::to_vec(self).map_err(io::Error::other).doing(doing)?;
        fs::write(&new, text).doing(doing)?;
        fs::rename(&new, data_dir.join("stack.json")).doing(doing)
    }
}

/// Makes a data directory that nobody else can look into, if there is none. The servers' account, where it is another
/// one, has to pass through.
///
/// # Errors
/// When it cannot be made.
pub fn make_data_dir(data_dir: &Path) -> io::Result<()> {
    let mode = if is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(data_dir)
}

/// Takes a data directory for `owner`, for as long as the file stays open in any process.
///
/// A living owner keeps it; after an owner's death its guardian is waited for.
pub(crate) async fn take(data_dir: &Path, owner: ProcessId) -> Result<File, StackError> {
    let path = data_dir.join("stack.lock");
    let doing = || format!("locking {}", path.display());
    let mut file = OpenOptions::new();
    let mut file =
        file.read(true).write(true).create(true).truncate(false).open(&path).doing(doing)?;
    let started = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(io::Error::from(error)).doing(doing),
        }
        let holder = named_owner(&mut file);
        if let Some(holder) = holder.filter(|holder| holder.is_alive())
            && (holder == owner || started.elapsed() >= OWNER_GRACE)
        {
            return Err(StackError::AlreadyRunning {
                data_dir: data_dir.to_path_buf(),
                owner: holder.pid,
            });
        }
        if started.elapsed() >= GUARDIAN_PATIENCE {
            return Err(io::Error::from(io::ErrorKind::TimedOut)).doing(doing);
        }
        tokio::time::sleep(POLL).await;
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{} {}", owner.pid, owner.started)
    };
    write(&mut file).doing(doing)?;
    Ok(file)
}

/// The living process that has a stack in `data_dir`, for whoever wants to say so before anything
/// is started; none when the directory is free or has never held one.
#[must_use]
pub fn living_owner(data_dir: &Path) -> Option<u32> {
    let mut file = File::open(data_dir.join("stack.lock")).ok()?;
    named_owner(&mut file).filter(|owner| owner.is_alive()).map(|owner| owner.pid)
}

/// The owner that a lock file names; none while a new one is just writing its name.
fn named_owner(file: &mut File) -> Option<ProcessId> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.read_to_string(&mut text).ok()?;
    let (pid, started) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(ProcessId { pid: pid.parse().ok()?, started: started.parse().ok()? })
}

/// Creates a directory that everybody can enter and only we can write to, whatever the umask.
fn create_open_dir(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

/// The directory of the servers' files, created if need be. Its parents can be entered by the
/// servers' account.
pub(crate) fn servers_dir(
    data_dir: &Path,
    account: &Account,
    progress: Progress<'_>,
) -> Result<PathBuf, StackError> {
    let link = data_dir.join("servers");
    let doing = || format!("preparing {}", link.display());
    let unreachable = || StackError::Unreachable {
        data_dir: data_dir.to_path_buf(),
        account: account.name().to_owned(),
    };
    match fs::symlink_metadata(&link) {
        Ok(found) if found.is_symlink() => {
            create_open_dir(&fs::read_link(&link).doing(doing)?).doing(doing)?;
        }
        Ok(_) => {}
        Err(_) if account.can_enter(data_dir) => create_open_dir(&link).doing(doing)?,
        Err(_) => {
            let elsewhere = Path::new(ELSEWHERE).join(fingerprint(data_dir));
            progress(&format!(
                "the account {} cannot enter {}: the servers' data goes to {}",
                account.name(),
                data_dir.display(),
                elsewhere.display()
            ));
            create_open_dir(Path::new(ELSEWHERE)).doing(doing)?;
            set_aside(&elsewhere, progress).doing(doing)?;
            create_open_dir(&elsewhere).doing(doing)?;
            std::os::unix::fs::symlink(&elsewhere, &link).doing(doing)?;
        }
    }
    let servers = link.canonicalize().doing(doing)?;
    if account.can_enter(&servers) { Ok(servers) } else { Err(unreachable()) }
}

/// Data of a data directory that was deleted, link and all, must not come back in a new one of the
/// same name. One such copy is kept.
fn set_aside(elsewhere: &Path, progress: Progress<'_>) -> io::Result<()> {
    if !elsewhere.exists() {
        return Ok(());
    }
    let aside = elsewhere.with_extension("abandoned");
    progress(&format!("the data of a deleted data directory moves to {}", aside.display()));
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(elsewhere, &aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_a_deleted_data_directory_is_set_aside_once() {
        let temp = std::env::temp_dir().join(format!("gomall-aside-{}", std::process::id()));
        let (home, aside) = (temp.join("0123"), temp.join("0123.abandoned"));
        for round in ["first", "second"] {
            fs::create_dir_all(&home).expect("temporary files can be made");
            fs::write(home.join("data"), round).expect("it is ours");
            set_aside(&home, &|_| {}).expect("it is ours");
            assert!(!home.exists());
            assert_eq!(fs::read_to_string(aside.join("data")).expect("it was moved"), round);
        }
        set_aside(&home, &|line| panic!("nothing to say: {line}")).expect("nothing to do");
        fs::remove_dir_all(&temp).expect("it is ours");
    }

    #[tokio::test]
    async fn a_lock_names_its_owner_and_is_free_after_the_owners_death() {
        let temp = std::env::temp_dir().join(format!("gomall-lock-{}", std::process::id()));
        fs::create_dir_all(&temp).expect("temporary files can be made");
        let us = ProcessId::current().expect("we are alive");
        let gone = ProcessId { started: us.started + 1, ..us };

        let held = take(&temp, us).await.expect("nobody holds it");
        let refusal = take(&temp, us).await.expect_err("it is held by a living process");
        assert!(matches!(refusal, StackError::AlreadyRunning { owner, .. } if owner == us.pid));
        drop(held);

        // Held by a guardian, in the name of an owner that is dead: waited for.
        let held = take(&temp, gone).await.expect("it was let go");
        let waiting = take(&temp, us);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(POLL * 3, &mut waiting).await;
        assert!(early.is_err(), "the guardian is still at work");
        drop(held);
        waiting.await.expect("the guardian has ended");
        fs::remove_dir_all(&temp).expect("it is ours");
    }
}
