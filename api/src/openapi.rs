//! The OpenAPI document, made from the routes themselves.

use crate::routes;
use std::sync::LazyLock;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, InfoBuilder, OpenApi, SecurityRequirement};

/// The document. Made once.
#[must_use]
pub fn document() -> &'static OpenApi {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(make);
    &DOCUMENT
}

fn make() -> OpenApi {
    let mut document = routes::all().into_openapi();
    document.merge(routes::root::routes().into_openapi());
    document.info = InfoBuilder::new()
        .title("GoMall")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The back end of a shop. Money is in minor units, times are UTC, errors are \
             application/problem+json with a stable `code`. Commands answer `Gomall-Position`; a \
             read that sends it back sees what the command did.",
        ))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert("token".to_owned(), bearer.into());
    // What is public says so by the permission rules, which an operator may change: the document
    // only says that a token may be needed.
    document.security = Some(vec![
        SecurityRequirement::default(),
        SecurityRequirement::new("token", Vec::<String>::new()),
    ]);
    document
}
