//! How settings are named in what is said about them.

use super::secrets;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

/// Lets the error name settings in the form in which they were given, and hides what may be a secret.
pub(super) fn as_given(mut error: clap::Error, command: &Command) -> clap::Error {
    let mut is_secret = false;
    for place in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let mut named = match error.get(place) {
            Some(ContextValue::String(named)) => vec![named.clone()],
            Some(ContextValue::Strings(several)) => several.clone(),
            _ => continue,
        };
        for setting in &mut named {
            let flag = setting.split(' ').next().unwrap_or(setting);
            let Some(arg) = find(command, flag.trim_start_matches('-')) else { continue };
            is_secret |= arg.is_hide_env_values_set();
            if let Some(given) = given_as(flag, arg, setting) {
                *setting = given;
            }
        }
        let named = match <[String; 1]>::try_from(named) {
            // Clap shows one argument only as this variant, and a list of missing ones only as the other.
            Ok([one]) if error.kind() != ErrorKind::MissingRequiredArgument => {
                ContextValue::String(one)
            }
            Ok(one) => ContextValue::Strings(one.into()),
            Err(several) => ContextValue::Strings(several),
        };
        error.insert(place, named);
    }
    let is_about_a_value = [ErrorKind::InvalidValue, ErrorKind::ValueValidation];
    if is_secret && is_about_a_value.contains(&error.kind()) {
        let hidden = ContextValue::String("(hidden)".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error
}

/// What a setting was given as, if not as the flag that `setting` is about: its variable, or either where nobody
/// gave it.
fn given_as(flag: &str, arg: &Arg, setting: &str) -> Option<String> {
    let was_given = |word: &str| word == flag || word.starts_with(&format!("{flag}="));
    // Not as text: what is none is an error, or a path, and no reason to panic.
    if std::env::args_os().any(|word| was_given(&word.to_string_lossy())) {
        return None;
    }
    let variable = secrets::given_as(arg.get_env()?);
    let text = variable.to_string_lossy().into_owned();
    Some(if std::env::var_os(&variable).is_some() { text } else { format!("{setting} or {text}") })
}

fn find<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    own.or_else(|| command.get_subcommands().find_map(|inner| find(inner, long)))
}
