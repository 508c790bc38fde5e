//! The section "Conventions" of the contract, sentence by sentence, on every route: asked over HTTP
//! of a real `gomall serve`.
//!
//! Which routes there are, what they take and what they answer is read from the shop's own
//! `/openapi.json`, and the bodies that are tried are its examples.
//!
//! | file | question |
//! |---|---|
//! | `bodies.rs`, `bounds.rs`, `ranges.rs` | what becomes of a body that is wrong? |
//! | `parameters.rs` | of a query or a header that is? |
//! | `access.rs`, `paths.rs`, `limits.rs` | who comes in, by which path, how often? |
//! | `sessions.rs` | how does a session go on, and end? |
//! | `reading.rs` | lists, positions, entity tags |
//! | `retries.rs` | what does a key promise? |
//! | `attempts.rs` | and while nobody knows yet what became of the first attempt? |
//! | `secrets.rs` | what is kept of requests that hold a secret? |
//! | `trace.rs` | what of a request is found again in its events? |

mod access;
mod attempts;
mod bodies;
mod bounds;
mod contract;
mod limits;
mod parameters;
mod paths;
mod ranges;
mod reading;
mod retries;
mod samples;
mod secrets;
mod sessions;
mod trace;

use crate::support::{Gomall, Person, Shop};
use contract::Contract;
use reading::Things;

/// A shop, and who is in it. One for many checks: starting one takes seconds.
pub(crate) struct Scene {
    pub(crate) gomall: Gomall,
    pub(crate) contract: Contract,
    pub(crate) visitor: Person,
    pub(crate) customer: Person,
    pub(crate) admin: Person,
    // Dropped after the process that uses it.
    pub(crate) shop: Shop,
}

impl Scene {
    async fn new() -> Self {
        // As behind a proxy, so that a test can come from any address.
        Self::with(&[("GOMALL_TRUSTED_PROXIES", "127.0.0.0/8")]).await
    }

    /// A shop with these settings.
    async fn with(settings: &[(&str, &str)]) -> Self {
        let shop = Shop::new().await;
        let gomall = shop.serve_with(settings);
        let visitor = shop.visitor(&gomall);
        let customer = shop.customer(&gomall).await;
        let admin = shop.admin(&gomall).await;
        let contract = Contract::of(&visitor).await;
        Self { gomall, contract, visitor, customer, admin, shop }
    }

    /// The journal's last position.
    pub(crate) async fn head(&self) -> u64 {
        let models = self.admin.get("/api/v1/admin/projections").await;
        let models = models.body["items"].as_array().expect("a list");
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
    access::somebody_elses_order_looks_absent(&scene).await;
    access::a_ban_is_in_force_at_once(&scene).await;
    access::an_address_is_banned_whoever_comes_from_it(&scene).await;
    access::rules_are_as_new_as_one_asks(&scene).await;
    sessions::refresh_tokens_rotate(&scene).await;
    sessions::who_signs_out_is_out_at_once(&scene).await;
    sessions::the_language_is_the_users_else_the_browsers(&scene).await;
    sessions::guessing_a_password_is_braked(&scene).await;
    sessions::the_anonymous_do_not_meet_under_one_key(&scene).await;
    limits::who_asks_too_often_is_told_when_to_come_back(&scene).await;
}

#[tokio::test]
async fn what_is_written_is_read_retried_and_traced() {
    let scene = Scene::new().await;
    let things = Things::new(&scene).await;
    reading::every_read_waits_for_what_it_is_asked_to_see(&scene, &things).await;
    reading::single_resources_have_entity_tags(&scene, &things).await;
    reading::a_change_is_made_on_what_was_seen(&scene, &things).await;
    reading::lists_come_in_pages(&scene).await;
    retries::a_key_is_needed_where_the_contract_says_so(&scene).await;
    retries::every_unsafe_call_is_done_once_under_one_key(&scene).await;
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
