//! What somebody else's tool makes of `/openapi.json`: schemathesis sends what the document allows and what
//! it forbids, and looks whether the answers are those that it promises. docs/conventions.md has the command
//! for a long run; this is a short one, where the tool is installed.

use crate::support::{Shop, tempdir::TempDir};
use reqwest::StatusCode;
use std::path::Path;
use std::process::Command;

/// The version whose findings the shop was held against; another one checks other things.
const VERSION: &str = "4.32.5";

/// How long it may look at the shop as one of three people: under a minute for all of them.
const SECONDS_EACH: &str = "14";

/// The same requests every time, as far as the time allows.
const SEED: &str = "1";

fn is_installed() -> bool {
    let said = Command::new("schemathesis").arg("--version").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.is_ok_and(|said| said.split_whitespace().any(|word| word == VERSION))
}

fn assert_agrees(url: &str, token: Option<&str>) {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis.toml");
    let its_own = TempDir::new();
    let mut command = Command::new("schemathesis");
    command.current_dir(its_own.path()).env("NO_PROXY", "127.0.0.1");
    command.arg("--config-file").arg(config).args(["run", &format!("{url}/openapi.json")]);
    command.args(["--max-time", SECONDS_EACH, "--seed", SEED, "--generation-database", "none"]);
    // With more than one its own threads get in each other's way.
    command.args(["--workers", "1", "--continue-on-failure", "--no-color"]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.output().expect("it is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn schemathesis_finds_nothing_as_anybody_as_a_customer_or_as_an_administrator() {
    if !is_installed() {
        eprintln!("skipped: there is no schemathesis {VERSION} on PATH");
        return;
    }
    let shop = Shop::new().await;
    let gomall = shop.serve_with(&[("GOMALL_LIMITS", "off")]);
    let people = [shop.visitor(&gomall), shop.customer(&gomall).await, shop.admin(&gomall).await];
    // The administrator comes last: rules may be others then.
    for who in people {
        let (url, token) = (gomall.url.clone(), who.token.clone());
        // Beside the runtime, which would not see meanwhile that connections end.
        let asked = tokio::task::spawn_blocking(move || assert_agrees(&url, token.as_deref()));
        asked.await.expect("it finds nothing");
        if who.token.is_some() {
            // Else all that it heard may have been 401.
            who.get("/api/v1/me").await.expect(StatusCode::OK);
        }
    }
}
