use crate::application::App;
use crate::application::payments::{self, Notification};
use crate::http::{Path, Problem, read_body};
use crate::telemetry::RequestContext;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use commands::bus::Context;
use provider::webhook::{InvalidSignature, verify};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The largest notification; providers' are about one payment each.
const MAX_NOTIFICATION_BYTES: usize = 16 * 1024;

/// The provider's name.
#[derive(Deserialize, JsonSchema)]
#[schemars(inline, example = &"sandbox")]
pub(super) struct Provider(String);

/// Takes a provider's notification: signed (Standard Webhooks), repeated and late ones as they come.
#[utoipa::path(post, path = "/api/v1/webhooks/payments/{provider}", tag = "webhooks",
    responses((status = 200), (status = 202, description = "The payment is not known here."), (status = 408), (status = 413)))]
pub(super) async fn payment_notification(
    State(app): State<Arc<App>>,
    Path(Provider(provider)): Path<Provider>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let secret = app.webhook_secret.as_ref().filter(|_| provider == "sandbox");
    let secret = secret.ok_or_else(Problem::not_found)?;
    let headers = request.headers().clone();
    let correlation_id = RequestContext::of(request.extensions())?.request_id;
    let traceparent = RequestContext::of(request.extensions())?.trace.to_string();
    let body = read_body(request, MAX_NOTIFICATION_BYTES).await?;
    let now = (app.world.now)().into();
    let notification = verify(secret, &headers, &body.bytes, now).map_err(|error| match error {
        InvalidSignature::Body => Problem::malformed_json("The notification is not understood."),
        InvalidSignature::Headers | InvalidSignature::Timestamp | InvalidSignature::Mismatch => {
            Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", format!("{error}."))
        }
    })?;
    let context = Context {
        actor: format!("system:provider-{provider}"),
        correlation_id,
        causation_id: None,
        traceparent: Some(traceparent),
    };
    let notification = Notification {
        provider,
        event_id: notification.event_id,
        payment_id: notification.payment_id,
        answer: notification.answer,
    };
    match payments::notified(&app, notification, &context).await? {
        true => Ok(StatusCode::OK),
        false => Ok(StatusCode::ACCEPTED),
    }
}
