use super::body::{AddLine, CartBody, ChangeLine, body};
use crate::application::carts::{self, Change};
use crate::application::{App, Call};
use crate::guard::Member;
use crate::http::{
    AtLeast, Body, Command, Etag, IfNoneMatch, Json, Params, Path, Position, Problem, Replayed,
};
use crate::routes::NoParams;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::bus::Executed;
use domain::cart::Cart;
use domain::{CartId, Sku};
use projections::carts::CartView;
use projections::{catalogue, stock};
use std::sync::Arc;

/// The cart; an empty one is an answer, too.
#[utoipa::path(get, path = "/api/v1/me/cart", tag = "cart",
    responses((status = 200, body = CartBody)))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    member: Member,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.all_caught_up(&["carts", catalogue::NAME, stock::NAME], at_least).await?;
    let view = projections::carts::by_owner(&app.pool, member.user_id).await?;
    let view = view.unwrap_or_else(|| CartView::empty(member.user_id));
    let (notices, position) = carts::notices(&app, &view.lines, view.position).await?;
    let etag = Etag::new(view.version, position);
    let body = body(view.cart_id, view.version, &view.lines)?.with(notices);
    Ok(if_none_match.answer(etag, Json(body)))
}

/// Adds pieces to the SKU's line.
#[utoipa::path(post, path = "/api/v1/me/cart/lines", tag = "cart", responses((status = 200, body = CartBody, headers(("ETag"))), (status = 404)))]
pub(super) async fn add_line(
    State(app): State<Arc<App>>,
    member: Member,
    command: Command,
    body: Body<AddLine>,
) -> Result<Response, Problem> {
    let AddLine { sku, quantity } = body.value;
    change(&app, &member, &command.call(body.fingerprint), Change::Add { sku, quantity }).await
}

/// Makes a line hold this many.
#[utoipa::path(put, path = "/api/v1/me/cart/lines/{sku}", tag = "cart", responses((status = 200, body = CartBody, headers(("ETag")))))]
pub(super) async fn change_line(
    State(app): State<Arc<App>>,
    member: Member,
    Path(sku): Path<Sku>,
    command: Command,
    body: Body<ChangeLine>,
) -> Result<Response, Problem> {
    let set = Change::Set { sku, quantity: body.value.quantity };
    change(&app, &member, &command.call(body.fingerprint), set).await
}

/// Takes a line out; one that is not there is fine.
#[utoipa::path(delete, path = "/api/v1/me/cart/lines/{sku}", tag = "cart",
    responses((status = 200, body = CartBody, headers(("ETag")))))]
pub(super) async fn remove_line(
    State(app): State<Arc<App>>,
    member: Member,
    Path(sku): Path<Sku>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    change(&app, &member, &command.call(body.fingerprint), Change::Remove { sku }).await
}

/// Takes all lines out.
#[utoipa::path(delete, path = "/api/v1/me/cart/lines", tag = "cart", responses((status = 200, body = CartBody, headers(("ETag")))))]
pub(super) async fn clear(
    State(app): State<Arc<App>>,
    member: Member,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    change(&app, &member, &command.call(body.fingerprint), Change::Clear).await
}

async fn change(
    app: &App,
    member: &Member,
    call: &Call,
    change: Change,
) -> Result<Response, Problem> {
    answer(CartId::of(member.user_id), &carts::change(app, call, member.user_id, change).await?)
}

/// The cart right after the command: rendered from what was decided, so it waits for nobody.
fn answer(cart_id: CartId, executed: &Executed) -> Result<Response, Problem> {
    let version = executed.version(0);
    let cart = body(cart_id, version, &executed.state::<Cart>(0).lines)?;
    let etag = Etag::new(version, executed.position);
    Ok((Position(executed.position), etag, Replayed(executed.replayed), Json(cart)).into_response())
}
