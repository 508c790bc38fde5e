//! What a permission decision takes at 10, 1,000 and 10,000 rules: `cargo bench -p domain`. The package
//! `domain/peers` measures others beside it.

mod bounds;
mod chance;
mod measure;
mod world;

use domain::policy::{Caller, CompiledPolicy};
use measure::{measure, print, print_head};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use world::Request;

const LONG: Duration = Duration::from_secs(2);

fn main() {
    // `-- bounds`: what the biggest policies take instead.
    if std::env::args().any(|argument| argument == "bounds") {
        bounds::memory();
        return bounds::changes();
    }
    print_head();
    for rules in [10, 1_000, 10_000] {
        let policy = world::policy(rules);
        let begun = Instant::now();
        let compiled = CompiledPolicy::compile(&policy, 1).expect("it compiles");
        let compiling = begun.elapsed();
        let requests = world::requests(rules);
        let decide = |request: &Request| {
            let caller = Caller::SignedIn(&request.roles);
            compiled.decide(caller, request.method, request.path).is_allowed()
        };
        let all: Vec<_> = requests.iter().collect();
        print(&format!("{rules} rules, all"), &measure(&all, LONG, decide));
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        requests.iter().for_each(|request| kinds.entry(request.kind).or_default().push(request));
        for (kind, requests) in kinds {
            print(&format!("{rules} rules, {kind}"), &measure(&requests, LONG / 4, decide));
        }
        println!("| {rules} rules, compiling | {compiling:?} | | | | 1 |");
    }
    let nothing = world::requests(10);
    let nothing: Vec<_> = nothing.iter().collect();
    print("the clock alone", &measure(&nothing, LONG / 4, |_| true));
}
