//! What a rule is about: the routes that its pattern matches, and whether it says anything at all.
//!
//! A pattern is a text about texts, and a wrong one looks like a right one: `/api/v1/admin/*` is about
//! `/api/v1/admin` alone. So whoever writes a rule is told which routes it is about.

use crate::http::Problem;
use crate::openapi;
use domain::policy::{
    Effect, MethodSelector, Overlap, PathShape, Policy, RoleSelector, Rule, overlaps,
};
use domain::{RoleName, RuleId};
use moka::sync::Cache;
use projections::users;
use sqlx::PgPool;
use std::sync::{Arc, LazyLock};

/// The most patterns whose routes are remembered: all that a policy may have, and some that it had.
const MAX_REMEMBERED: u64 = 4_096;

/// Routes that the document does not describe: itself, its page, and what belongs to the sandbox of
/// payments.
const UNDESCRIBED: [(&str, &str); 5] = [
    ("GET", "/docs"),
    ("GET", "/docs/{file}"),
    ("GET", "/openapi.json"),
    ("GET", "/sandbox/payments/{id}"),
    ("POST", "/sandbox/payments/{id}"),
];

struct Route {
    method: String,
    path: String,
}

/// All routes, each with the shape of its paths.
static ROUTES: LazyLock<Vec<(Route, PathShape)>> = LazyLock::new(|| {
    let described = openapi::document().operations();
    let undescribed = UNDESCRIBED.into_iter();
    let routes = described.chain(undescribed.map(|(method, path)| (method.to_owned(), path)));
    let route = |(method, path): (String, &str)| {
        (Route { method, path: path.to_owned() }, PathShape::of_route(path))
    };
    let mut routes: Vec<_> = routes.map(route).collect();
    routes.sort_by(|(a, _), (b, _)| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
    routes
});

/// How much of each route a pattern matches, in the order of [`ROUTES`].
fn overlaps_of(pattern: &str) -> Arc<[Overlap]> {
    static REMEMBERED: LazyLock<Cache<String, Arc<[Overlap]>>> =
        LazyLock::new(|| Cache::new(MAX_REMEMBERED));
    let compare = || overlaps(pattern, ROUTES.iter().map(|(_, shape)| shape)).into();
    REMEMBERED.get_with_by_ref(pattern, compare)
}

/// The routes that somebody who names these methods and this pattern speaks about.
fn matched(
    methods: &[MethodSelector],
    pattern: &str,
) -> impl Iterator<Item = (usize, &'static Route)> {
    let overlaps = overlaps_of(pattern);
    ROUTES.iter().enumerate().filter_map(move |(index, (route, _))| {
        let names_it = methods.iter().any(|method| method.matches(&route.method));
        (names_it && overlaps[index].some).then_some((index, route))
    })
}

/// As method and path, in the order of the paths.
pub(super) fn matches_routes(methods: &[MethodSelector], pattern: &str) -> Vec<String> {
    matched(methods, pattern)
        .map(|(_, Route { method, path })| format!("{method} {path}"))
        .collect()
}

/// Why nothing seems to be meant, if no route matches.
pub(super) fn warn_of_nothing(matches_routes: &[String], pattern: &str) -> Option<String> {
    if !matches_routes.is_empty() {
        return None;
    }
    let habit = if pattern.contains("/*") || pattern.contains("/**") {
        " A `*` repeats what stands before it: write `.*` for anything and `[^/]+` for one segment."
    } else {
        ""
    };
    Some(format!("No route of this shop matches the pattern.{habit}"))
}

/// What whoever writes a rule should know about it beside what it says.
#[derive(Default)]
pub(super) struct Advice {
    /// The routes that it is about.
    pub(super) matches_routes: Vec<String>,
    /// For people.
    pub(super) warning: Option<String>,
    /// The deny rule because of which it says nothing.
    pub(super) shadowed_by: Option<RuleId>,
    /// The allow rules that say nothing because of it.
    pub(super) shadows: Vec<RuleId>,
}

/// Looks at a rule among those of a policy.
///
/// # Errors
/// When the read model of users cannot be read.
pub(super) async fn advise(
    pool: &PgPool,
    policy: &Policy,
    rule_id: RuleId,
    rule: &Rule,
) -> Result<Advice, Problem> {
    let unknown = unknown_role(pool, policy, rule_id, rule).await?;
    let others: Vec<(RuleId, Rule)> = policy
        .rules
        .iter()
        .filter(|(id, held)| **id != rule_id && held.rule.effect != rule.effect)
        .map(|(id, held)| (*id, held.rule.clone()))
        .collect();
    let rule = rule.clone();
    let advice = tokio::task::spawn_blocking(move || {
        let matches_routes = matches_routes(&rule.methods, &rule.path);
        let mut advice = Advice::default();
        match rule.effect {
            Effect::Allow => {
                let shadowing = others.iter().find(|(_, deny)| is_shadowed(&rule, deny));
                advice.shadowed_by = shadowing.map(|(id, _)| *id);
            }
            Effect::Deny => {
                let shadowed = others.iter().filter(|(_, allow)| is_shadowed(allow, &rule));
                advice.shadows = shadowed.map(|(id, _)| *id).collect();
            }
        }
        let unknown = unknown
            .map(|role| format!("Nobody has the role `{role}`, and no other rule names it."));
        let warnings = warn_of_nothing(&matches_routes, &rule.path).into_iter().chain(unknown);
        let warning = warnings.collect::<Vec<_>>().join(" ");
        Advice { warning: (!warning.is_empty()).then_some(warning), matches_routes, ..advice }
    });
    advice.await.map_err(|error| Problem::internal(&error))
}

/// A role that the rule names, no other rule does, and nobody has: probably misspelled.
async fn unknown_role(
    pool: &PgPool,
    policy: &Policy,
    rule_id: RuleId,
    rule: &Rule,
) -> Result<Option<RoleName>, Problem> {
    let others = policy.rules.iter().filter(|(id, _)| **id != rule_id);
    let named: Vec<&RoleSelector> = others.flat_map(|(_, held)| &held.rule.roles).collect();
    for selector in &rule.roles {
        let RoleSelector::Role(role) = selector else { continue };
        let by_nature = [RoleName::ANONYMOUS, RoleName::AUTHENTICATED].contains(&role.as_str());
        if !by_nature && !named.contains(&selector) && !users::is_held(pool, role).await? {
            return Ok(Some(role.clone()));
        }
    }
    Ok(None)
}

/// Whether the deny rule refuses everything that the allow rule lets through: all of its roles and
/// methods, on all paths of all routes that it is about.
fn is_shadowed(allow: &Rule, deny: &Rule) -> bool {
    let names_role = |role: &RoleSelector| {
        deny.roles.iter().any(|named| match (named, role) {
            (RoleSelector::Any, _) => true,
            (named, role) if named == role => true,
            (RoleSelector::Role(named), RoleSelector::Role(role)) => {
                named.as_str() == RoleName::AUTHENTICATED && role.as_str() != RoleName::ANONYMOUS
            }
            (RoleSelector::Role(_), RoleSelector::Any) => false,
        })
    };
    if !allow.roles.iter().all(names_role) {
        return false;
    }
    let overlaps = overlaps_of(&deny.path);
    let mut routes = matched(&allow.methods, &allow.path).peekable();
    routes.peek().is_some()
        && routes.all(|(index, route)| {
            overlaps[index].all && deny.methods.iter().any(|named| named.matches(&route.method))
        })
}
