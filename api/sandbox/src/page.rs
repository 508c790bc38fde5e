//! The page that stands for the customer's bank: it asks, and the answer settles the payment.

use super::routes::{Failure, Service, payment_id};
use super::store::Payment;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use domain::PaymentId;
use provider::wire::Status;
use serde::Deserialize;

/// Nothing but our own form runs on the page.
const POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'";

/// The reason of a payment that the customer did not approve.
const NOT_APPROVED: &str = "authentication_failed";

/// The page, to be merged into a router.
pub(super) fn routes() -> Router<Service> {
    Router::new().route("/sandbox/payments/{id}", get(show).post(decide))
}

/// What the customer answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Approve,
    Decline,
}

impl Outcome {
    fn result(self) -> (Status, Option<&'static str>) {
        match self {
            Self::Approve => (Status::Captured, None),
            Self::Decline => (Status::Declined, Some(NOT_APPROVED)),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    outcome: Outcome,
}

async fn show(State(service): State<Service>, Path(id): Path<String>) -> Result<Response, Failure> {
    let payment = service.current(payment_id(&id)?).await?.ok_or_else(Failure::unknown_payment)?;
    Ok(([(CONTENT_SECURITY_POLICY, POLICY)], Html(render(&payment))).into_response())
}

/// Takes JSON from programs and the page's own form from browsers. The same answer again is fine
/// (people click twice), another one comes too late.
async fn decide(
    State(service): State<Service>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let id = payment_id(&id)?;
    let is_form = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    let outcome = if is_form { read_form(&body) } else { read_json(&body) }?;
    let (status, code) = outcome.result();
    let payment = match service.store.decide(id, status, code).await? {
        Some(decided) => {
            service.changed.notify_one();
            decided
        }
        None => {
            let known = service.store.find(id).await?.ok_or_else(Failure::unknown_payment)?;
            if known.status != status {
                return Err(Failure::Refused {
                    status: StatusCode::CONFLICT,
                    code: "no_action_required",
                    detail: "this payment does not wait for an answer",
                });
            }
            known
        }
    };
    Ok(if is_form { back_to(id) } else { Json(service.describe(payment)).into_response() })
}

/// Relative, so that it is right behind any prefix.
fn back_to(id: PaymentId) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, id.to_string())]).into_response()
}

fn read_json(body: &[u8]) -> Result<Outcome, Failure> {
    match serde_json::from_slice::<Decision>(body) {
        Ok(decision) => Ok(decision.outcome),
        Err(error) if error.is_data() => Err(unknown_outcome()),
        Err(_) => Err(Failure::malformed_json("the body is not JSON")),
    }
}

/// The form has one field with two possible values, none of which needs decoding.
fn read_form(body: &[u8]) -> Result<Outcome, Failure> {
    match body {
        b"outcome=approve" => Ok(Outcome::Approve),
        b"outcome=decline" => Ok(Outcome::Decline),
        _ => Err(unknown_outcome()),
    }
}

fn unknown_outcome() -> Failure {
    Failure::invalid_field("expected the outcome approve or decline")
}

/// There is nothing to escape: an id, an amount and a status hold no markup.
fn render(payment: &Payment) -> String {
    let id = payment.id;
    let amount = payment.amount.map_or_else(|| "nothing".to_owned(), |amount| amount.to_string());
    let rest = if payment.status == Status::ActionRequired {
        "<form method=\"post\">\
         <button name=\"outcome\" value=\"approve\">Approve</button> \
         <button name=\"outcome\" value=\"decline\">Decline</button></form>"
            .to_owned()
    } else {
        format!("<p>It is {}. You can go back to the shop.</p>", payment.status.as_str())
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Sandbox payment</title>\
         <h1>Sandbox payment</h1><p>Payment <code>{id}</code> of {amount}.</p>{rest}</html>\n"
    )
}
