//! What one decision takes: each is timed by itself, because a mean has no percentiles.

use super::world::Request;
use std::time::{Duration, Instant};

/// What some decisions took.
pub(crate) struct Measured {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) allocations: f64,
    pub(crate) allowed: usize,
    pub(crate) decisions: usize,
}

/// Asks each request, again and again for `long`, after one round that warms up and is not timed (or the
/// tenth of `long`).
pub(crate) fn measure<'a>(
    requests: &[&'a Request],
    long: Duration,
    mut decide: impl FnMut(&'a Request) -> bool,
) -> Measured {
    let warm = Instant::now();
    for request in requests.iter().take_while(|_| warm.elapsed() < long / 10) {
        std::hint::black_box(decide(request));
    }
    let (mut times, mut allowed) = (vec![], 0);
    let begun = Instant::now();
    'rounds: loop {
        for request in requests {
            // Whoever decides has read the request just before; its memory is not what is measured.
            request.read();
            let start = Instant::now();
            let is_allowed = std::hint::black_box(decide(std::hint::black_box(request)));
            times.push(start.elapsed());
            allowed += usize::from(is_allowed);
            if begun.elapsed() > long {
                break 'rounds;
            }
        }
    }
    let some = &requests[..requests.len().min(times.len())];
    let counted = allocation_counter::measure(|| {
        for request in some {
            std::hint::black_box(decide(request));
        }
    });
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Measured {
        p50: at(50),
        p99: at(99),
        allocations: counted.count_total as f64 / some.len() as f64,
        allowed: allowed * 100 / times.len(),
        decisions: times.len(),
    }
}

/// A row of the table.
pub(crate) fn print(what: &str, measured: &Measured) {
    let Measured { p50, p99, allocations, allowed, decisions } = measured;
    println!(
        "| {what} | {} | {} | {allocations:.2} | {allowed} % | {decisions} |",
        shown(*p50),
        shown(*p99)
    );
}

/// The head of the table.
pub(crate) fn print_head() {
    println!("| what | p50 | p99 | allocations | allowed | decisions |");
    println!("|---|---|---|---|---|---|");
}

fn shown(time: Duration) -> String {
    let ns = time.as_nanos();
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} µs", ns / 1_000),
        _ => format!("{} ms", ns / 1_000_000),
    }
}
