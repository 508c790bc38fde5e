//! A line a cycle and one for all of them.

use super::cycle::{Counts, Verdict};
use serde_json::json;

/// Violations that are shown: the first ones lead to the others.
const SHOWN_VIOLATIONS: usize = 20;

/// What a run says of itself.
pub(super) struct Report {
    scenario: &'static str,
    json: bool,
    cycles: u32,
    faults: usize,
    total: Counts,
}

impl Report {
    pub(super) fn new(scenario: &'static str, json: bool) -> Self {
        Self { scenario, json, cycles: 0, faults: 0, total: Counts::default() }
    }

    /// Says what became of a cycle.
    pub(super) fn add(&mut self, verdict: &Verdict) {
        self.cycles += 1;
        self.faults += verdict.faults.len();
        self.total.add(&verdict.counts);
        if self.json {
            let mut line = json!(verdict);
            line["scenario"] = self.scenario.into();
            println!("{line}");
            return;
        }
        let Verdict { cycle, seed, counts, faults, violations, seconds } = verdict;
        let (scenario, counts) = (self.scenario, counts.to_string());
        let verdict = if violations.is_empty() { "ok" } else { "BROKEN" };
        println!("{scenario} cycle {cycle} seed {seed}: {verdict}, {counts}, {seconds:.1} s");
        for fault in faults {
            println!("  fault: {fault}");
        }
        for violation in violations.iter().take(SHOWN_VIOLATIONS) {
            println!("  violation: {violation}");
        }
        if violations.len() > SHOWN_VIOLATIONS {
            println!("  and {} more violations", violations.len() - SHOWN_VIOLATIONS);
        }
    }

    /// Says what all cycles together were.
    pub(super) fn end(self) {
        let Self { scenario, json, cycles, faults, total } = self;
        if json {
            let summary =
                json!({ "scenario": scenario, "cycles": cycles, "faults": faults, "total": total });
            println!("{summary}");
        } else {
            println!(
                "{scenario}: {cycles} cycles, {faults} faults, {total}, no promise was broken"
            );
        }
    }
}
