//! The section "Conventions" of the contract, sentence by sentence, on every route: asked over HTTP
//! of a real `gomall serve`.
//!
//! Which routes there are, what they take and what they answer is read from the shop's own
//! `/openapi.json`, and the bodies that are tried are its examples. What the document cannot say each resource
//! says in its own file (`resources`).
//!
//! | file | question |
//! |---|---|
//! | `bodies.rs`, `bounds.rs`, `ranges.rs` | what becomes of a body that is wrong? |
//! | `parameters.rs` | of a query or a header that is? |
//! | `access.rs`, `paths.rs`, `limits.rs` | who comes in, by which path, how often? |
//! | `reading.rs` | lists, positions, entity tags |
//! | `keyed.rs`, `retries.rs` | what does a key promise? |
//! | `attempts.rs` | and while nobody knows yet what became of the first attempt? |
//! | `secrets.rs` | what is kept of requests that hold a secret? |
//! | `trace.rs` | what of a request is found again in its events? |

mod access;
mod attempts;
mod bodies;
mod bounds;
mod contract;
mod keyed;
mod limits;
mod parameters;
mod paths;
mod ranges;
mod reading;
mod retries;
pub(crate) mod samples;
mod secrets;
mod trace;

pub(crate) use keyed::Keyed;

use crate::support::{Gomall, Person, Shop};
use contract::Contract;
use reading::Things;
use std::sync::{Arc, Weak};
use tokio::sync::Mutex;

/// A shop, and who is in it. One for many checks: starting one takes seconds.
pub(crate) struct Scene {
    pub(crate) gomall: Arc<Gomall>,
    pub(crate) contract: Contract,
    pub(crate) visitor: Person,
    pub(crate) customer: Person,
    pub(crate) admin: Person,
    // Dropped after the process that uses it.
    pub(crate) shop: Arc<Shop>,
}

/// As behind a proxy, so that a test can come from any address.
const BEHIND_A_PROXY: &[(&str, &str)] = &[("GOMALL_TRUSTED_PROXIES", "127.0.0.0/8")];

/// The shop that tests share, for as long as one of them is in it.
static SHARED: Mutex<(Weak<Gomall>, Weak<Shop>)> = Mutex::const_new((Weak::new(), Weak::new()));

impl Scene {
    /// A shop of this test's own.
    pub(crate) async fn new() -> Self {
        Self::with(BEHIND_A_PROXY).await
    }

    /// A shop of this test's own with these settings.
    async fn with(settings: &[(&str, &str)]) -> Self {
        let shop = Shop::new().await;
        let gomall = shop.serve_with(settings);
        Self::of(Arc::new(gomall), Arc::new(shop)).await
    }

    /// A shop that other tests are in at the same time: for what is about people, carts, orders and products of the
    /// test's own, whatever the others do. Who counts everything, or changes what holds for everybody, takes
    /// [`Scene::new`].
    pub(crate) async fn shared() -> Self {
        let mut shared = SHARED.lock().await;
        let (gomall, shop) = match (shared.0.upgrade(), shared.1.upgrade()) {
            (Some(gomall), Some(shop)) => (gomall, shop),
            _ => {
                let shop = Arc::new(Shop::new().await);
                (Arc::new(shop.serve_with(BEHIND_A_PROXY)), shop)
            }
        };
        *shared = (Arc::downgrade(&gomall), Arc::downgrade(&shop));
        drop(shared);
        Self::of(gomall, shop).await
    }

    async fn of(gomall: Arc<Gomall>, shop: Arc<Shop>) -> Self {
        let visitor = shop.visitor(&gomall);
        let customer = shop.customer(&gomall).await;
        let admin = shop.admin(&gomall).await;
        let contract = Contract::of(&visitor).await;
        Self { gomall, contract, visitor, customer, admin, shop }
    }

    /// A fresh customer.
    pub(crate) async fn somebody(&self) -> Person {
        self.shop.customer(&self.gomall).await
    }

    /// The names of an aggregate's events, in their order.
    pub(crate) async fn events_of(&self, aggregate: &str, id: &str) -> Vec<String> {
        let path = format!("/api/v1/events?aggregate={aggregate}&aggregate_id={id}");
        let events = self.admin.get(&path).await;
        let types = events.items().iter().filter_map(|event| event["type"].as_str());
        types.filter_map(|name| name.split('.').nth(2)).map(str::to_owned).collect()
    }

    /// The journal's last position.
    pub(crate) async fn head(&self) -> u64 {
        let models = self.admin.get("/api/v1/admin/projections").await;
        let models = models.items();
        let number =
            |model: &serde_json::Value, name: &str| model[name].as_u64().expect("a number");
        let heads = models.iter().map(|model| number(model, "position") + number(model, "lag"));
        heads.max().expect("there are read models")
    }
}

#[tokio::test]
async fn bad_input_is_refused_where_it_is_wrong_and_appends_nothing() {
    let scene = Scene::new().await;
    let before = scene.head().await;
    bodies::every_member_of_every_body_is_checked(&scene).await;
    bodies::what_is_no_json_object_is_refused(&scene).await;
    bodies::bodies_have_a_type_and_a_size(&scene).await;
    bounds::every_bound_of_the_document_is_kept(&scene).await;
    ranges::every_member_out_of_range_is_named(&scene).await;
    ranges::of_members_that_exclude_each_other_one_is_taken(&scene).await;
    parameters::every_query_is_checked(&scene).await;
    parameters::headers_are_checked(&scene).await;
    assert_eq!(scene.head().await, before, "nothing was appended");
}

#[tokio::test]
async fn who_comes_in_is_decided_before_anything_else() {
    let scene = Scene::new().await;
    paths::a_path_has_one_spelling(&scene).await;
    access::nobody_gets_what_the_rules_do_not_give(&scene).await;
    access::unknown_paths_tell_no_more_than_the_rules(&scene).await;
    access::a_bad_token_is_refused_except_where_tokens_are_given_out(&scene).await;
    access::every_path_answers_its_methods_only(&scene).await;
    access::rules_are_as_new_as_one_asks(&scene).await;
    limits::who_asks_too_often_is_told_when_to_come_back(&scene).await;
}

#[tokio::test]
async fn what_is_written_is_read_retried_and_traced() {
    let scene = Scene::new().await;
    let things = Things::new(&scene).await;
    reading::every_read_waits_for_what_it_is_asked_to_see(&scene, &things).await;
    reading::single_resources_have_entity_tags(&scene, &things).await;
    reading::a_change_is_made_on_what_was_seen(&scene, &things).await;
    reading::lists_come_in_pages(&scene, &things).await;
    retries::a_key_is_needed_where_the_contract_says_so(&scene).await;
    retries::what_takes_no_key_changes_nothing(&scene).await;
    retries::every_keyed_call_is_done_once_under_one_key(&scene).await;
    retries::keys_of_others_and_for_other_things_are_other_keys(&scene).await;
    retries::a_refusal_is_decided_afresh(&scene).await;
    secrets::a_password_is_part_of_the_request(&scene).await;
    retries::a_request_that_still_runs_says_so(&scene).await;
    trace::a_trace_leads_from_the_request_to_its_events(&scene).await;
}

#[tokio::test]
async fn a_key_has_one_outcome_wherever_and_whenever_it_is_asked_for_again() {
    let unlimited = [("GOMALL_LIMITS", "off")];
    let scene = Scene::with(&unlimited).await;
    let other = scene.shop.serve_with(&unlimited);
    attempts::an_attempt_after_one_that_had_nothing_to_do(&scene).await;
    attempts::an_attempt_after_what_has_made_it_impossible(&scene, &other).await;
    attempts::an_attempt_beside_one_that_still_waits(&scene, &other).await;
    attempts::an_attempt_at_each_of_two_processes_at_once(&scene, &other).await;
}
