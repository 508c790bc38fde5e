use super::body::{DeadLetterBody, LetterId, body};
use crate::application::App;
use crate::http::{AtLeast, Body, Command, Json, List, Params, Path, Problem};
use crate::routes::NoParams;
use crate::routes::PageParams;
use axum::extract::State;
use axum::http::StatusCode;
use projections::dead_letters::{self, Decided};
use std::sync::Arc;
use tracing::warn;

/// All dead letters, by consumer and position.
#[utoipa::path(get, path = "/api/v1/admin/dead-letters", tag = "operations", responses((status = 200, body = List<DeadLetterBody>)))]
pub(super) async fn list(
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
    responses((status = 202)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    command: Command,
    Path(LetterId(id)): Path<LetterId>,
    _: Body<NoParams>,
) -> Result<StatusCode, Problem> {
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
    responses((status = 204)))]
pub(super) async fn give_up(
    State(app): State<Arc<App>>,
    command: Command,
    Path(LetterId(id)): Path<LetterId>,
    _: Body<NoParams>,
) -> Result<StatusCode, Problem> {
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
