//! Events that a consumer of the journal could not take in, and what to do about them.

use super::super::{NoParams, schema};
use super::PageParams;
use crate::application::App;
use crate::http::{AtLeast, Body, Command, Json, List, Params, Path, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use domain::Timestamp;
use projections::dead_letters::{self, DeadLetter, DeadLetterId, DeadLetterStatus, Decided};
use serde::Serialize;
use std::sync::Arc;
use tracing::warn;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(give_up))
}

/// An event that a consumer of the journal could not take in, or that waits behind such a one.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterBody {
    /// `<consumer>.<position>`.
    #[schema(pattern = "^[a-z_]+[.][1-9][0-9]*$", example = "orders.1234")]
    id: String,
    /// A projection, or another follower of the journal.
    consumer: String,
    /// The event's place in the journal.
    position: i64,
    event_id: Uuid,
    event_type: String,
    aggregate_type: String,
    aggregate_id: String,
    /// What waits with it; null: the consumer as a whole.
    ordering_key: Option<String>,
    /// `failed`, `waiting` behind one that failed, or `given_up` by somebody.
    #[schema(value_type = String, pattern = "^(failed|waiting|given_up)$")]
    status: DeadLetterStatus,
    /// Why it failed; null while it only waits.
    reason: Option<String>,
    /// How often it was tried.
    attempts: i32,
    /// Whether another try is under way.
    retrying: bool,
    #[schema(value_type = schema::Timestamp)]
    first_at: Timestamp,
    /// When it was tried last, or given up.
    #[schema(value_type = schema::Timestamp)]
    last_at: Timestamp,
}

/// All dead letters, by consumer and position.
#[utoipa::path(get, path = "/api/v1/admin/dead-letters", tag = "operations", params(PageParams),
    responses((status = 200, body = List<DeadLetterBody>), (status = 422, body = schema::Problem)))]
async fn list(
    State(app): State<Arc<App>>,
    Params(params): Params<PageParams>,
    at_least: AtLeast,
) -> Result<Json<List<DeadLetterBody>>, Problem> {
    app.journal_reached(at_least).await?;
    let page = dead_letters::list(&app.pool, params.cursor.as_deref(), params.limit.into()).await?;
    Ok(Json(List::from(page).map(body)))
}

/// Lets the letter's ordering key be tried again, in order, within about a second.
#[utoipa::path(post, path = "/api/v1/admin/dead-letters/{id}/retry", tag = "operations",
    params(("id" = String, Path)),
    responses((status = 202), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn retry(
    State(app): State<Arc<App>>,
    command: Command,
    Path(id): Path<String>,
    _: Body<NoParams>,
) -> Result<StatusCode, Problem> {
    let id = named(&id)?;
    let decided = dead_letters::request_retry(&app.pool, &id).await;
    match decided.map_err(|error| Problem::unavailable(&error))? {
        Decided::Accepted => {
            warn!(dead_letter.id = %id, actor = command.context.actor, "a dead letter is tried again");
            Ok(StatusCode::ACCEPTED)
        }
        refused => Err(refusal(refused)),
    }
}

/// Gives up on an event that failed: if it still cannot be applied, it has no effect on this
/// consumer; what waits behind it goes on. Nothing else is left out.
#[utoipa::path(delete, path = "/api/v1/admin/dead-letters/{id}", tag = "operations",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn give_up(
    State(app): State<Arc<App>>,
    command: Command,
    Path(id): Path<String>,
    _: Body<NoParams>,
) -> Result<StatusCode, Problem> {
    let id = named(&id)?;
    let decided = dead_letters::give_up(&app.pool, &id).await;
    match decided.map_err(|error| Problem::unavailable(&error))? {
        Decided::Accepted => {
            warn!(dead_letter.id = %id, actor = command.context.actor, "a dead letter is given up");
            Ok(StatusCode::NO_CONTENT)
        }
        // Saying it again changes nothing.
        Decided::GivenUp => Ok(StatusCode::NO_CONTENT),
        refused => Err(refusal(refused)),
    }
}

fn named(id: &str) -> Result<DeadLetterId, Problem> {
    id.parse().map_err(|_| Problem::not_found())
}

fn refusal(decided: Decided) -> Problem {
    let (code, detail) = match decided {
        Decided::Accepted | Decided::Unknown => return Problem::not_found(),
        Decided::OnlyWaits => (
            "dead_letter_waits",
            "The event waits behind one that failed. Retry or give up that one.",
        ),
        Decided::GivenUp => {
            ("dead_letter_given_up", "The event was given up. A rebuild tries it again.")
        }
    };
    Problem::new(StatusCode::CONFLICT, code, detail)
}

fn body(letter: DeadLetter) -> DeadLetterBody {
    DeadLetterBody {
        id: letter.id.to_string(),
        consumer: letter.id.consumer,
        position: letter.id.position,
        event_id: letter.event_id,
        event_type: letter.event_type,
        aggregate_type: letter.aggregate_type,
        aggregate_id: letter.aggregate_id,
        ordering_key: letter.ordering_key,
        status: letter.status,
        reason: letter.reason,
        attempts: letter.attempts,
        retrying: letter.retry,
        first_at: letter.first_at.into(),
        last_at: letter.last_at.into(),
    }
}
