//! Whatever is asked of several journals and buses on one database at once, and whatever goes
//! wrong meanwhile: afterwards the journal is one that a single-threaded reference in memory would
//! have written, command by command, and nobody was told otherwise.
//!
//! What is asked is drawn from a seed, which a failure prints; how the clients interleave is up to
//! the machine. `GOMALL_MODEL_SEED` tries one seed again, `GOMALL_MODEL_CASES` says how many cases
//! there are: of that seed, or of new ones.

mod check;
mod line;
mod reference;
mod run;
mod script;

#[path = "../support/mod.rs"]
mod support;

use check::{Tally, check, missing};
use run::run;
use support::Database;
use testkit::new_id;

/// What is tried at least, in a few seconds.
const CASES: u64 = 3;

/// By then every kind of thing has happened; the rarest does in two cases of three.
const MOST_CASES: u64 = 30;

/// What is shown of a failure.
const SHOWN_VIOLATIONS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_processes_do_at_once_is_what_one_would_have_done_alone() {
    let database = Database::new().await;
    let again = setting("GOMALL_MODEL_SEED");
    let mut total = Tally::default();
    let cases = setting("GOMALL_MODEL_CASES").unwrap_or(CASES);
    for case in 1.. {
        // A new one every time: the more often the tests run, the more is tried.
        let seed = again.unwrap_or_else(|| new_id::<uuid::Uuid>().as_u64_pair().1 >> 32);
        let run = run(&database, seed).await;
        let violations = check(&run, &mut total);
        assert!(
            violations.is_empty(),
            "{} violations; GOMALL_MODEL_SEED={seed} GOMALL_MODEL_CASES=20 tries it again\n{}",
            violations.len(),
            violations[..violations.len().min(SHOWN_VIOLATIONS)].join("\n"),
        );
        let missing = missing(&total);
        if case >= cases && (again.is_some() || missing.is_empty()) {
            break;
        }
        assert!(case < cases.max(MOST_CASES), "never happened: {missing:?} in {total:?}");
    }
    println!("{total:?}");
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
