//! Secrets from files: every secret whose variable is `NAME` may be in the file that `NAME_FILE` names, as orchestrators
//! mount them. What is in the environment of a process is seen by everybody who may look at the process.

use clap::error::ErrorKind;
use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The longest secret; one that is longer is another file.
const MAX_SECRET_BYTES: usize = 16 * 1024;

/// Lets secrets that are in files be what they are when nobody gives them otherwise: a flag wins.
///
/// # Errors
/// When a file cannot be read, or the secret is given in both ways.
pub(super) fn with_files(command: Command) -> Result<Command, clap::Error> {
    let mut wrong = None;
    let command = for_each_argument(command, &mut |arg| {
        let Some((variable, file)) = file_of(&arg) else { return arg };
        let secret = if std::env::var_os(variable).is_some() {
            Err("it is given as a file, and itself as well".to_owned())
        } else {
            read(Path::new(&file))
        };
        match secret {
            Ok(secret) => arg.required(false).default_value(&*secret.leak()),
            Err(reason) => {
                let name = file_variable(variable);
                wrong = Some(format!("{}: {reason}\n", name.to_string_lossy()));
                arg
            }
        }
    });
    match wrong {
        None => Ok(command),
        Some(wrong) => Err(clap::Error::raw(ErrorKind::ValueValidation, wrong)),
    }
}

/// The variable in which a setting was given, whose own is `variable`.
pub(super) fn given_as(variable: &OsStr) -> OsString {
    let file = file_variable(variable);
    if std::env::var_os(&file).is_some() { file } else { variable.to_owned() }
}

/// A secret's variable, and the file that holds it, if one is named.
fn file_of(arg: &Arg) -> Option<(&OsStr, OsString)> {
    let variable = arg.get_env().filter(|_| arg.is_hide_env_values_set())?;
    Some((variable, std::env::var_os(file_variable(variable))?))
}

fn file_variable(variable: &OsStr) -> OsString {
    let mut name = variable.to_owned();
    name.push("_FILE");
    name
}

/// Without the end of its line. Nothing that is said of it holds a byte of it.
fn read(file: &Path) -> Result<String, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() > MAX_SECRET_BYTES {
        return Err(format!("it has more than {MAX_SECRET_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn for_each_argument(command: Command, change: &mut impl FnMut(Arg) -> Arg) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    let command = command.mut_args(&mut *change);
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |inner| for_each_argument(inner, change))
    })
}
