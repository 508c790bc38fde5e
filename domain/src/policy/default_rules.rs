use super::{Effect, MethodSelector, PublicPath, RoleSelector, Rule};
use crate::RoleName;
use uuid::Uuid;

/// The rules that a new shop starts with, by fixed ids: who adds them again changes nothing. All
/// of them allow; whatever none of them names is refused.
#[must_use]
pub fn default_rules() -> Vec<(Uuid, Rule)> {
    vec![
        allow(1, "admin", ANY, "/.*", "Administrators may do everything."),
        allow(2, "authenticated", ANY, "/api/v1/me(/.*)?", "One's own account and cart."),
        allow(3, "authenticated", POST, "/api/v1/checkouts(/quote)?", "Ordering one's own cart."),
        allow(
            4,
            "authenticated",
            ANY,
            "/api/v1/orders(/.*)?",
            "One's own orders and their payments; the handlers see to whose they are.",
        ),
        allow(
            5,
            "customer",
            POST,
            "/api/v1/flash-sales/[^/]+/claims",
            "Taking part in flash sales.",
        ),
        allow(
            6,
            "staff",
            ANY,
            "/api/v1/admin/(products|stock|categories)(/.*)?",
            "The catalogue and its stock.",
        ),
        allow(
            7,
            "staff",
            ANY,
            "/api/v1/admin/(coupons|flash-sales)(/.*)?",
            "Coupons and flash sales.",
        ),
        allow(
            8,
            "staff",
            ANY,
            "/api/v1/admin/orders(/[^/]+(/(ship|deliver|refunds))?)?",
            "Sending and refunding orders; not the contact routes, which are for services.",
        ),
        allow(9, "staff", ANY, "/api/v1/admin/returns(/.*)?", "Accepting and rejecting returns."),
        allow(10, "analyst", GET, "/api/v1/events(/.*)?", "Replaying every event."),
        allow(11, "analyst", GET, "/api/v1/event-types", "The schemas of the events."),
        allow(12, "analyst", GET, "/api/v1/aggregates/.*", "The events of one aggregate."),
        allow(
            13,
            "service",
            GET,
            "/api/v1/admin/(users|orders)/[^/]+/contact",
            "Whom to write to, asked at the time of writing.",
        ),
        allow(14, "staff", GET, "/api/v1/admin/payments", "Money that has to go back."),
    ]
}

/// The paths that need no permission in a new shop, by fixed ids.
#[must_use]
pub fn default_public_paths() -> Vec<(Uuid, PublicPath)> {
    vec![
        public(1, GET, "/"),
        public(2, GET, "/(healthz|readyz|metrics)"),
        public(3, GET, r"/(openapi|asyncapi)\.json"),
        public(4, GET, "/docs(/.*)?"),
        public(5, GET, "/static/.*"),
        public(6, GET, r"/\.well-known/jwks\.json"),
        // Logging out is public because its token may be over; the handler looks at what it got.
        public(7, POST, "/api/v1/auth/(register|login|refresh|logout)"),
        public(8, POST, "/api/v1/auth/(verify-email|password-reset(/confirm)?)"),
        public(9, GET, "/api/v1/products(/[^/]+)?"),
        public(10, GET, "/api/v1/(categories|search/suggest)"),
        public(11, GET, "/api/v1/flash-sales(/[^/]+)?"),
        // Signed by the provider; the handler checks it.
        public(12, POST, "/api/v1/webhooks/payments/[^/]+"),
        public(13, ANY, "/sandbox/.*"),
    ]
}

const ANY: &str = "*";
const GET: &str = "GET";
const POST: &str = "POST";

/// Rules and public paths have ids from 1 up in the form of a UUIDv7 of the first millisecond of
/// 1970. An id is never given to another rule.
fn rule_id(number: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0001_0000 + number)
}

fn public_path_id(number: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0002_0000 + number)
}

fn allow(number: u128, role: &'static str, method: &str, path: &str, note: &str) -> (Uuid, Rule) {
    let rule = Rule {
        effect: Effect::Allow,
        roles: vec![RoleSelector::Role(RoleName::known(role))],
        methods: vec![method_selector(method)],
        path: path.to_owned(),
        note: note.to_owned(),
    };
    (rule_id(number), rule)
}

fn public(number: u128, method: &str, path: &str) -> (Uuid, PublicPath) {
    let entry = PublicPath { methods: vec![method_selector(method)], path: path.to_owned() };
    (public_path_id(number), entry)
}

fn method_selector(method: &str) -> MethodSelector {
    MethodSelector::try_from(method.to_owned()).expect("the methods above are methods")
}
