//! Cedar policies about roles, actions and paths; paths are in the context, because Cedar's resources are
//! entities that somebody has listed.

use crate::world::Request;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request as Question,
    RestrictedExpression,
};
use domain::policy::{Effect, MethodSelector, Policy};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

pub struct Peer {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    /// Prepared, by where the request is in memory.
    questions: HashMap<*const Request, Question>,
}

impl Peer {
    pub fn new(policy: &Policy, requests: &[&Request]) -> Self {
        let users: HashMap<_, _> =
            requests.iter().map(|request| (user(request), *request)).collect();
        let entities = users.into_iter().map(|(uid, request)| {
            let roles = request.roles.iter().map(|role| uid_of("Role", role.as_str()));
            Entity::new_no_attrs(uid, roles.collect::<HashSet<_>>())
        });
        Self {
            authorizer: Authorizer::new(),
            policies: text(policy).parse().expect("policies of Cedar"),
            entities: Entities::from_entities(entities, None).expect("entities"),
            questions: requests
                .iter()
                .map(|request| (&raw const **request, question(request)))
                .collect(),
        }
    }

    pub fn decide(&self, request: &Request) -> bool {
        let question = &self.questions[&(&raw const *request)];
        let answer = self.authorizer.is_authorized(question, &self.policies, &self.entities);
        answer.decision() == Decision::Allow
    }
}

fn uid_of(kind: &str, id: &str) -> EntityUid {
    format!("{kind}::\"{id}\"").parse().expect("an entity")
}

fn user(request: &Request) -> EntityUid {
    uid_of("User", request.roles.iter().next_back().map_or("nobody", |role| role.as_str()))
}

fn question(request: &Request) -> Question {
    let path = RestrictedExpression::new_string(request.path.as_str().to_owned());
    let context = Context::from_pairs([("path".to_owned(), path)]).expect("a context");
    let action = uid_of("Action", request.method);
    Question::new(user(request), action, uid_of("Shop", "shop"), context, None).expect("a question")
}

fn text(policy: &Policy) -> String {
    let mut text = String::new();
    for held in policy.rules.values() {
        let effect = match held.rule.effect {
            Effect::Allow => "permit",
            Effect::Deny => "forbid",
        };
        for role in held.rule.roles.iter().map(ToString::to_string) {
            let principal = match role.as_str() {
                "*" => "principal".to_owned(),
                role => format!("principal in Role::\"{role}\""),
            };
            add(&mut text, effect, &principal, &held.rule.methods, &held.rule.path);
        }
    }
    for entry in policy.public_paths.values() {
        add(&mut text, "permit", "principal", &entry.methods, &entry.path);
    }
    text
}

fn add(text: &mut String, effect: &str, principal: &str, methods: &[MethodSelector], path: &str) {
    let actions: Vec<_> = methods.iter().map(|method| format!("Action::\"{method}\"")).collect();
    let action = match methods {
        [MethodSelector::Any] => "action".to_owned(),
        _ => format!("action in [{}]", actions.join(", ")),
    };
    let like: Vec<_> =
        likes(path).iter().map(|like| format!("context.path like \"{like}\"")).collect();
    let like = like.join(" || ");
    writeln!(text, "{effect}({principal}, {action}, resource) when {{ {like} }};").expect("a text");
}

/// The nearest that `like` can say.
fn likes(path: &str) -> Vec<String> {
    for optional in ["(/.*)?", "(/[^/]+)?"] {
        if let Some(before) = path.strip_suffix(optional) {
            return vec![before.to_owned(), format!("{before}/*")];
        }
    }
    let involved = path.replace("([a-z]+-)+[0-9]+", "*-*");
    let pieces = ["[0-9]+", "[^/]+", "[0-9a-f-]{36}", r"\w+", ".*"];
    vec![pieces.iter().fold(involved, |like, piece| like.replace(piece, "*"))]
}
