//! Permission decisions of casbin-rs and Cedar beside ours: the same rules, the same requests, in one run.
//!
//! Casbin has the same regular expressions. Cedar has none: its `like` with `*` is the nearest, which says the
//! same about the requests that are asked.

#[path = "../../benches/permissions/chance.rs"]
mod chance;
#[path = "../../benches/permissions/measure.rs"]
mod measure;
#[path = "../../benches/permissions/world.rs"]
mod world;

mod casbin_rs;
mod cedar;

use domain::policy::{Caller, CompiledPolicy};
use measure::{measure, print, print_head};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3);

fn main() {
    print_head();
    for rules in [10, 1_000, 10_000] {
        let (policy, requests) = (world::policy(rules), world::requests(rules));
        let requests: Vec<_> = requests.iter().collect();
        let compiled = CompiledPolicy::compile(&policy, 1).expect("it compiles");
        let ours = measure(&requests, LONG, |request| {
            let caller = Caller::SignedIn(&request.roles);
            compiled.decide(caller, request.method, request.path).is_allowed()
        });
        print(&format!("{rules} rules, GoMall"), &ours);
        let casbin = casbin_rs::Peer::new(&policy, &requests);
        let theirs = measure(&requests, LONG, |request| casbin.decide(request));
        print(&format!("{rules} rules, casbin-rs"), &theirs);
        let cedar = cedar::Peer::new(&policy, &requests);
        let theirs = measure(&requests, LONG, |request| cedar.decide(request));
        print(&format!("{rules} rules, Cedar"), &theirs);
    }
}
