//! `gomall rebuild`: a read model anew, while the shop goes on.

use crate::cli::RebuildArgs;
use anyhow::Context as _;
use api::shop;
use api::stop::told_to_stop;
use commands::journal::{JournalReader, Tail};
use domain::Position;
use projections::{Progress, Projection, REBUILD_BATCH_EVENTS, RebuildOptions, Stage};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a line about the progress is printed.
const REPORT_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(args: RebuildArgs) -> anyhow::Result<()> {
    let projection = find(&args.projection)?;
    let stop = told_to_stop()?;
    let database = args.servers.database.options().clone();
    let pool = api::pools::connect(&database).await?;
    shop::check_schema(&pool).await?;

    // Nobody hints: the tail polls, which is soon enough here.
    let (_nobody, hints) = watch::channel(Position::START);
    let reading = CancellationToken::new();
    let _ends_reading = reading.clone().drop_guard();
    let tail = Tail::start(JournalReader::new(pool, hints), reading).await?;
    let options =
        RebuildOptions { connect: database, head: tail.head(), batch_events: REBUILD_BATCH_EVENTS };
    let mut lines = Lines::of(projection.name());
    let rebuilding = projections::rebuild(projection, options, Arc::new(tail), |progress| {
        lines.report(progress)
    });
    let rebuilt = tokio::select! {
        rebuilt = rebuilding => rebuilt.context("the live rows are as they were")?,
        () = stop.cancelled() => anyhow::bail!(
            "stopped; the live rows are as they were, the next rebuild drops what is left of this one"
        ),
    };
    println!(
        "{}: rebuilt up to event {} in {:.1} s ({:.0} events/s)",
        projection.name(),
        rebuilt.position,
        rebuilt.took.as_secs_f64(),
        rebuilt.events_per_second,
    );
    Ok(())
}

fn find(name: &str) -> anyhow::Result<&'static dyn Projection> {
    let known = projections::ALL.iter().copied();
    known.clone().find(|projection| projection.name() == name).ok_or_else(|| {
        let names: Vec<&str> = known.map(Projection::name).collect();
        anyhow::anyhow!("there is no projection {name:?}; there are {}", names.join(", "))
    })
}

/// The progress on standard output: at once when the stage changes, else now and then.
struct Lines {
    projection: &'static str,
    last: Option<(Stage, Instant)>,
}

impl Lines {
    fn of(projection: &'static str) -> Self {
        Self { projection, last: None }
    }

    fn report(&mut self, progress: Progress) {
        let due = self
            .last
            .is_none_or(|(stage, at)| stage != progress.stage || at.elapsed() >= REPORT_EVERY);
        if due {
            self.last = Some((progress.stage, Instant::now()));
            println!("{}: {}", self.projection, describe(progress));
        }
    }
}

fn describe(progress: Progress) -> String {
    let Progress { stage, position, head, events_per_second, remaining } = progress;
    match stage {
        Stage::Filling => {
            let left = remaining.map_or_else(String::new, |left| {
                format!(", about {:.0} s left", left.as_secs_f64().ceil())
            });
            format!("event {position} of {head}, {events_per_second:.0} events/s{left}")
        }
        Stage::Tidying => "cleaning the new tables".to_owned(),
        Stage::Swapping { attempt: 1 } => "swapping".to_owned(),
        Stage::Swapping { attempt } => {
            format!("swapping, attempt {attempt}: somebody keeps the live tables in use")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        for projection in projections::ALL {
            assert!(find(projection.name()).is_ok());
        }
        let error = find("nonsense").map(Projection::name).expect_err("unknown").to_string();
        assert!(error.contains("catalogue, carts, orders, users, permissions"), "{error}");
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let progress = Progress {
            stage: Stage::Filling,
            position: Position::new(5_000),
            head: Position::new(20_000),
            events_per_second: 10_000.4,
            remaining: Some(Duration::from_millis(1_500)),
        };
        assert_eq!(describe(progress), "event 5000 of 20000, 10000 events/s, about 2 s left");
        let busy = Progress { stage: Stage::Swapping { attempt: 3 }, ..progress };
        assert!(describe(busy).contains("attempt 3"));
    }
}
