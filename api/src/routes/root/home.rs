//! What somebody finds who opens the shop's address: what this is, that it runs, and where to go on.

mod page;

use super::Root;
use super::probes::ReadyStatus;
use crate::http::{Json, ranges, weight};
use crate::openapi::schema::answers;
use crate::readiness::Phase;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{Html, IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

answers!(Home);

/// What a shop says of itself to whoever opens its address.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(example = json!({
    "name": "GoMall", "version": "0.1.0", "status": "ok", "degraded": [], "journal_position": 41,
    "read_models": [{"name": "catalogue", "position": 41, "lag": 0}], "links": LINKS,
}))]
pub(super) struct Home {
    /// What this is.
    name: &'static str,
    /// Of the build.
    version: &'static str,
    status: HomeStatus,
    /// What does not work, in stable words.
    degraded: Vec<&'static str>,
    /// The journal's last position, as this process saw it last; null while the database does not say.
    journal_position: Option<u64>,
    /// How far each read model is.
    read_models: Vec<HowFar>,
    links: Links,
}

/// How a process is.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HomeStatus {
    /// Everything works.
    Ok,
    /// Something does not work although the shop does.
    Degraded,
    /// It does not serve yet.
    Starting,
    /// It serves no longer.
    Draining,
}

/// A read model and how far it is.
#[derive(Debug, Serialize, JsonSchema)]
struct HowFar {
    /// The read model.
    name: &'static str,
    /// The last event that it has seen.
    position: u64,
    /// How many events it is behind the journal.
    lag: u64,
}

/// Where to go on, as paths of this shop.
#[derive(Debug, Serialize, JsonSchema)]
struct Links {
    /// The API, to be browsed.
    docs: &'static str,
    /// The API, for programs.
    openapi: &'static str,
    /// The types of events, and what they hold.
    events: &'static str,
    /// How to begin.
    guide: &'static str,
}

const LINKS: Links = Links {
    docs: "/docs",
    openapi: "/openapi.json",
    events: "/docs/events.md",
    guide: "/docs/guide.md",
};

/// What this is, whether it runs, how far its read models are, and where to go on: a page, or the same as JSON for
/// who prefers that.
#[utoipa::path(get, path = "/", tag = "operations",
    responses((status = 200, content((String = "text/html"), (Home = "application/json")))))]
pub(super) async fn home(State(root): State<Arc<Root>>, headers: HeaderMap) -> Response {
    let home = look(&root);
    let told = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (VARY, HeaderValue::from_static("accept")),
    ];
    if prefers_json(&headers) {
        return (told, Json(home)).into_response();
    }
    (told, [(CONTENT_SECURITY_POLICY, page::POLICY)], Html(page::page(&home))).into_response()
}

fn look(root: &Root) -> Home {
    let degraded = (root.degraded)();
    let progress = (root.progress)();
    let journal_position = progress.journal.map(domain::Position::get);
    let read_models = progress.read_models.into_iter().map(|(name, position)| HowFar {
        name,
        position: position.get(),
        lag: journal_position.unwrap_or(0).saturating_sub(position.get()),
    });
    let status = match (root.readiness.phase(), ReadyStatus::of(&degraded)) {
        (Phase::Starting, _) => HomeStatus::Starting,
        (Phase::Draining, _) => HomeStatus::Draining,
        (Phase::Ready, ReadyStatus::Ok) => HomeStatus::Ok,
        (Phase::Ready, ReadyStatus::Degraded) => HomeStatus::Degraded,
    };
    Home {
        name: "GoMall",
        version: env!("CARGO_PKG_VERSION"),
        status,
        degraded,
        journal_position,
        read_models: read_models.collect(),
        links: LINKS,
    }
}

/// A page is for who does not say otherwise: browsers name it, and programs that name nothing can be shown it.
fn prefers_json(headers: &HeaderMap) -> bool {
    let ranges = ranges(headers, &ACCEPT);
    let page = weight(&ranges, &["text/html", "text/*", "*/*"]).unwrap_or(0);
    let json = weight(&ranges, &["application/json", "application/*", "*/*"]).unwrap_or(0);
    json > page
}
