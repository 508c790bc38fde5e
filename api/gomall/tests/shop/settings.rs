//! Settings that cannot be used are refused at once, and named in the form in which they were given.

use crate::support;
use crate::support::tempdir::TempDir;
use clap::{Arg, Command, CommandFactory};
use gomall::cli::Cli;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

/// What each setting cannot be. Secrets are called hunter2.
const WRONG: [(&str, &str); 19] = [
    ("DATABASE_URL", "hunter2"),
    ("GOMALL_ADMIN_EMAIL", "nobody"),
    ("GOMALL_CURRENCY", "usd"),
    ("GOMALL_HTTP", "8080"),
    ("GOMALL_LIMITS", "maybe"),
    ("GOMALL_LOG", "a=b=c"),
    ("GOMALL_MAIL_FROM", "nobody"),
    ("GOMALL_MAIL_LINKS", "shop"),
    ("GOMALL_METRICS", "9090"),
    ("GOMALL_NATS_REPLICAS", "2"),
    ("GOMALL_NATS_STREAM", "two words"),
    ("GOMALL_NO_WORKERS", "maybe"),
    ("GOMALL_PASSWORD_MIN", "7"),
    ("GOMALL_PAYMENT_URL", "bank"),
    ("GOMALL_SANDBOX", "maybe"),
    ("GOMALL_SANDBOX_WEBHOOK_SECRET", "!hunter2!"),
    ("GOMALL_SMTP_URL", "gopher://somebody:hunter2@mail"),
    ("GOMALL_TRUSTED_PROXIES", "everybody"),
    ("NATS_URL", "nats://hunter2:4222:4222"),
];

/// What can be any text: paths, which are looked at when the process starts, and a password.
const ANYTHING: [&str; 6] = [
    "GOMALL_ADMIN_PASSWORD",
    "GOMALL_DATA_DIR",
    "GOMALL_FINGERPRINT_SECRET",
    "GOMALL_PREVIOUS_SIGNING_KEY",
    "GOMALL_REFRESH_SECRET",
    "GOMALL_SIGNING_KEY",
];

#[test]
fn every_setting_that_cannot_be_used_is_named_as_it_was_given() {
    let mut settings = BTreeMap::new();
    collect(&Cli::command(), &mut settings);
    let told: BTreeSet<String> = WRONG
        .iter()
        .map(|(variable, _)| variable)
        .chain(&ANYTHING)
        .map(|v| (*v).to_owned())
        .collect();
    assert_eq!(settings.keys().cloned().collect::<BTreeSet<_>>(), told);
    let folder = TempDir::new();
    let file = folder.path().join("value");
    for (variable, value) in WRONG {
        let (flag, is_secret) = &settings[variable];
        let role = if variable == "GOMALL_ADMIN_EMAIL" { "dev" } else { "serve" };
        let mut arguments = vec![role];
        if role == "serve" && variable != "DATABASE_URL" {
            arguments.extend(["--database-url", "postgres://somebody@nowhere/shop"]);
        }
        let by_variable = said(&arguments, &[(variable, value)]);
        assert!(by_variable.contains(&format!("'{variable}'")), "{by_variable}");
        let flagged = format!("--{flag}={value}");
        let by_flag = said(&[&arguments[..], &[&*flagged]].concat(), &[]);
        assert!(by_flag.contains(&format!("'--{flag}")), "{by_flag}");
        let mut all = by_variable + &by_flag;
        if *is_secret {
            fs::write(&file, value).expect("the directory is ours");
            let named = format!("{variable}_FILE");
            let by_file = said(&arguments, &[(&named, file.to_str().expect("it is text"))]);
            assert!(by_file.contains(&format!("'{named}'")), "{by_file}");
            all += &by_file;
        }
        assert!(!all.contains("hunter2"), "{all}");
    }
}

/// Every variable with its flag, and whether it is a secret.
fn collect(command: &Command, settings: &mut BTreeMap<String, (String, bool)>) {
    for arg in command.get_arguments() {
        let (Some(variable), Some(flag)) = (arg.get_env(), arg.get_long()) else { continue };
        let variable = variable.to_str().expect("our names are text").to_owned();
        settings.insert(variable, (flag.to_owned(), Arg::is_hide_env_values_set(arg)));
    }
    command.get_subcommands().for_each(|inner| collect(inner, settings));
}

#[test]
fn settings_that_do_not_go_together_are_named_as_they_were_given() {
    let by_variable = said(&["dev"], &[("DATABASE_URL", "postgres://somebody@nowhere/shop")]);
    assert!(by_variable.contains("--nats-url <NATS_URL> or NATS_URL"), "{by_variable}");
    let nowhere = ["policy", "list", "--database-url", "postgres://somebody@127.0.0.1:1/shop"];
    let beside = |sandbox| {
        let variables = [("GOMALL_PAYMENT_URL", "http://bank.test"), ("GOMALL_SANDBOX", sandbox)];
        let output = support::command(&nowhere, &variables).output().expect("it was built");
        String::from_utf8(output.stderr).expect("it is text")
    };
    let both = beside("true");
    assert!(
        both.contains("(GOMALL_PAYMENT_URL) or --sandbox (GOMALL_SANDBOX), not both"),
        "{both}"
    );
    let one = beside("false");
    assert!(one.contains("PostgreSQL cannot be reached"), "{one}");
}

/// What is said about settings that cannot be used.
fn said(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = support::command(arguments, variables).output().expect("it was built");
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).expect("it is text")
}

#[test]
fn a_secret_may_be_in_a_file_and_is_no_less_a_secret() {
    let serve = ["serve"];
    let folder = TempDir::new();
    let secret = folder.path().join("secret");
    fs::write(&secret, "hunter2\n").expect("the directory is ours");
    let file = secret.to_str().expect("it is text");
    let from_file = said(&serve, &[("DATABASE_URL_FILE", file)]);
    assert!(from_file.contains("'DATABASE_URL_FILE'"), "{from_file}");
    assert!(!from_file.contains("hunter2"), "{from_file}");
    fs::write(&secret, "postgres://somebody@nowhere/shop\n").expect("the directory is ours");
    let both = said(&serve, &[("DATABASE_URL_FILE", file), ("DATABASE_URL", "postgres://x/y")]);
    assert!(both.contains("DATABASE_URL_FILE: it is given as a file"), "{both}");
    let missing = said(&serve, &[("DATABASE_URL_FILE", "/nowhere")]);
    assert!(missing.contains("DATABASE_URL_FILE: it cannot be read"), "{missing}");
    let read = [("DATABASE_URL_FILE", file), ("GOMALL_NATS_REPLICAS", "2")];
    assert!(said(&serve, &read).contains("GOMALL_NATS_REPLICAS"), "the address was read");
}

#[test]
fn what_is_wrong_with_a_setting_is_said() {
    let serve = ["serve", "--database-url", "postgres://somebody@nowhere/shop"];
    let by_variable = said(&serve, &[("GOMALL_NATS_REPLICAS", "2")]);
    assert!(by_variable.contains("'GOMALL_NATS_REPLICAS': it is 1, 3 or 5"), "{by_variable}");
    let by_flag = said(&[&serve[..], &["--nats-replicas", "2"]].concat(), &[]);
    assert!(by_flag.contains("'--nats-replicas <NATS_REPLICAS>': it is"), "{by_flag}");
    let on_a_free_port = [&serve[..], &["--http", "127.0.0.1:0"]].concat();
    let unpaid = support::command(&on_a_free_port, &[("GOMALL_SANDBOX", "false")]).output();
    let unpaid = String::from_utf8(unpaid.expect("it was built").stderr).expect("it is text");
    assert!(
        unpaid.contains("--payment-url <address> (GOMALL_PAYMENT_URL), or --sandbox"),
        "{unpaid}"
    );
    // A path need not be text.
    let mut command = support::command(&serve, &[("GOMALL_NATS_REPLICAS", "2")]);
    command.arg("--data-dir").arg(OsStr::from_bytes(b"\xff"));
    assert_eq!(command.output().expect("it was built").status.code(), Some(2));
}
