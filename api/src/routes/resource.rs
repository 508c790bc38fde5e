//! What a resource is to the shop: its routes, and what a new shop allows of them.
//!
//! A rule stands beside the routes that it opens, so that who adds a route sees who may use it. The
//! rules of all resources are collected in [`default_policy`](super::default_policy).

use crate::application::App;
use domain::policy::{Asking, Effect, Lifeline, MethodSelector, PublicPath, RoleSelector, Rule};
use domain::{PublicPathId, RoleName, RuleId};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

/// A folder of routes.
#[derive(Clone, Copy)]
pub(super) struct Resource {
    /// Its routes.
    pub(super) routes: fn() -> OpenApiRouter<Arc<App>>,
    /// What a new shop allows of them.
    pub(super) defaults: Defaults,
}

/// What a new shop allows. Whatever nothing here names is for administrators.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    /// Who may do what.
    pub(super) rules: &'static [DefaultRule],
    /// What everybody may do without a permission.
    pub(super) public_paths: &'static [DefaultPublicPath],
    /// What no change of the policy may take from an administrator: undoing it would need it.
    pub(super) lifelines: &'static [Lifeline],
}

impl Defaults {
    /// Nothing that is not allowed elsewhere.
    pub(super) const NONE: Self = Self { rules: &[], public_paths: &[], lifelines: &[] };
}

/// A rule that a new shop starts with. All of them allow.
#[derive(Clone, Copy)]
pub(super) struct DefaultRule {
    /// Makes its id and its place among the others; never given to another rule.
    pub(super) number: u16,
    role: &'static str,
    method: &'static str,
    path: &'static str,
    note: &'static str,
}

/// A public path that a new shop starts with.
#[derive(Clone, Copy)]
pub(super) struct DefaultPublicPath {
    /// As a rule's; the two count apart.
    pub(super) number: u16,
    method: &'static str,
    path: &'static str,
}

/// All methods.
pub(super) const ANY: &str = "*";
/// Reading, HEAD included.
pub(super) const GET: &str = "GET";
/// What the name says.
pub(super) const POST: &str = "POST";
/// Changing as a whole.
pub(super) const PUT: &str = "PUT";
/// Taking away.
pub(super) const DELETE: &str = "DELETE";

/// Allows a role a method on the paths that the pattern describes, and says what for.
pub(super) const fn allow(
    number: u16,
    role: &'static str,
    method: &'static str,
    path: &'static str,
    note: &'static str,
) -> DefaultRule {
    DefaultRule { number, role, method, path, note }
}

/// Lets everybody use a method on the paths that the pattern describes.
pub(super) const fn public(
    number: u16,
    method: &'static str,
    path: &'static str,
) -> DefaultPublicPath {
    DefaultPublicPath { number, method, path }
}

/// What an administrator sends to repair the policy; what stands in braces is an id.
pub(super) const fn lifeline(method: &'static str, path: &'static str) -> Lifeline {
    Lifeline { asking: Asking::Administrator, method, path }
}

/// Ids have the form of a UUIDv7 of the first millisecond of 1970.
const RULE_IDS: u128 = 0x0000_0000_0000_7000_8000_0000_0001_0000;
const PUBLIC_PATH_IDS: u128 = 0x0000_0000_0000_7000_8000_0000_0002_0000;

impl DefaultRule {
    /// The rule as the policy takes it, with its id.
    pub(super) fn rule(&self) -> (RuleId, Rule) {
        let rule = Rule {
            effect: Effect::Allow,
            roles: vec![RoleSelector::Role(RoleName::known(self.role))],
            methods: vec![method_selector(self.method)],
            path: self.path.to_owned(),
            note: self.note.to_owned(),
        };
        (Uuid::from_u128(RULE_IDS + u128::from(self.number)).into(), rule)
    }
}

impl DefaultPublicPath {
    /// The entry as the policy takes it, with its id.
    pub(super) fn entry(&self) -> (PublicPathId, PublicPath) {
        let methods = vec![method_selector(self.method)];
        let entry = PublicPath { methods, path: self.path.to_owned() };
        (Uuid::from_u128(PUBLIC_PATH_IDS + u128::from(self.number)).into(), entry)
    }
}

fn method_selector(method: &str) -> MethodSelector {
    MethodSelector::try_from(method.to_owned()).expect("the methods above are methods")
}
