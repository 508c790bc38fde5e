//! The path of a request as it came, after it was found canonical.

use super::problem::Problem;
use axum::http::Extensions;
use domain::policy::{CanonicalPath, canonical_path};
use std::sync::Arc;

/// The whole path of the request, root prefix included, proven canonical.
///
/// Handlers below a nested router see a shortened path; rules, limits and idempotency keys must
/// all see this one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestPath(Arc<str>);

impl RequestPath {
    /// Accepts a raw path in canonical form.
    ///
    /// # Errors
    /// 400 `malformed_path` for everything else.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let path = canonical_path(raw).map_err(|_| Problem::malformed_path())?;
        Ok(Self(path.as_str().into()))
    }

    /// The path that the guard put into the request.
    ///
    /// # Errors
    /// 500 on a router that was not wrapped by the guard.
    pub fn of(extensions: &Extensions) -> Result<&Self, Problem> {
        extensions.get().ok_or_else(|| Problem::internal(&Unguarded))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the policy judges.
    #[must_use]
    pub fn canonical(&self) -> CanonicalPath<'_> {
        canonical_path(&self.0).expect("the constructor accepted the path")
    }
}

/// A handler runs outside the guard: a mistake in the wiring, refused instead of trusted.
#[derive(Debug, thiserror::Error)]
#[error("the request did not pass the guard")]
pub(crate) struct Unguarded;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_path_reaches_the_rules() {
        for good in
            ["/", "/a", "/.well-known/jwks.json", "/api/v1/orders/0199d3a2~x_y-z", "/...", "/a..b"]
        {
            assert!(RequestPath::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "admin",
            "//admin",
            "/admin/",
            "/admin//x",
            "/./admin",
            "/admin/..",
            "/../admin",
            "/%61dmin",
            "/admin;x",
            "/admin%2f",
            "/orders/..%2fadmin",
            "/admin\\x",
            "/admin x",
            "/ädmin",
            "/admin?x",
            "/admin#x",
            "/admin%00",
            "/ad\u{7f}min",
            "/a+b",
            "/a,b",
            "/a:b",
            "/a@b",
        ] {
            let refused = RequestPath::parse(bad);
            assert_eq!(
                refused.err().map(|problem| problem.code()),
                Some("malformed_path"),
                "{bad}"
            );
        }
    }
}
