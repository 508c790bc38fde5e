//! The member's cart.

use super::schema;
use crate::application::carts::{self, Change};
use crate::application::{App, Call};
use crate::guard::Member;
use crate::http::{
    AtLeast, Body, Command, Etag, IfNoneMatch, Json, Params, Path, Position, Problem, Replayed,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::bus::Executed;
use domain::cart::{Cart, CartLine};
use domain::{Currency, Money, Name, Quantity, Sku, Text};
use projections::carts::CartView;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(add_line, clear))
        .routes(routes!(change_line, remove_line))
}

/// A cart as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartBody {
    /// The cart's id.
    id: Uuid,
    /// Grows with every change; 0 before the first.
    version: u64,
    /// The currency of all lines; null while the cart is empty.
    #[schema(value_type = Option<schema::Currency>)]
    currency: Option<Currency>,
    /// In the order in which they were added.
    lines: Vec<CartLineBody>,
    /// What a coupon takes off; null while the cart is empty.
    #[schema(value_type = Option<schema::Money>)]
    discount: Option<Money>,
    /// What the lines cost; null while the cart is empty.
    #[schema(value_type = Option<schema::Money>)]
    total: Option<Money>,
}

/// One line of a cart.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartLineBody {
    #[schema(value_type = schema::Token)]
    sku: Sku,
    product_id: Uuid,
    #[schema(value_type = String)]
    name: Name,
    #[schema(value_type = Option<String>)]
    picture: Option<Text>,
    /// 1 to 999.
    #[schema(value_type = u32)]
    quantity: Quantity,
    /// The price of one piece when the line was last written.
    #[schema(value_type = schema::Money)]
    unit_price: Money,
    #[schema(value_type = schema::Money)]
    total: Money,
}

/// What to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddLine {
    #[schema(value_type = schema::Token)]
    sku: Sku,
    /// How many to add; the line holds 1 to 999.
    #[schema(value_type = u32, minimum = 1, maximum = 999)]
    quantity: u32,
}

/// How many the line shall hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeLine {
    /// 0 removes the line.
    #[schema(value_type = u32, maximum = 999)]
    quantity: u32,
}

/// No parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

/// The cart; an empty one is an answer, too.
#[utoipa::path(get, path = "/api/v1/me/cart", tag = "cart",
    responses((status = 200, body = CartBody), (status = 304)))]
async fn show(
    State(app): State<Arc<App>>,
    member: Member,
    Params(NoParams {}): Params<NoParams>,
    at_least: AtLeast,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    app.caught_up("carts", at_least).await?;
    let view = projections::carts::by_owner(&app.pool, member.user_id).await?;
    let view = view.unwrap_or_else(|| CartView::empty(member.user_id));
    let etag = Etag::new(view.version, view.position);
    let body = body(member.user_id, view.version, &view.lines)?;
    Ok(if_none_match.answer(etag, Json(body)))
}

/// Adds pieces to the SKU's line.
#[utoipa::path(post, path = "/api/v1/me/cart/lines", tag = "cart", request_body = AddLine,
    responses((status = 200, body = CartBody), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add_line(
    State(app): State<Arc<App>>,
    member: Member,
    command: Command,
    body: Body<AddLine>,
) -> Result<Response, Problem> {
    let AddLine { sku, quantity } = body.value;
    change(&app, &member, &command.call(body.fingerprint), Change::Add { sku, quantity }).await
}

/// Makes a line hold this many.
#[utoipa::path(put, path = "/api/v1/me/cart/lines/{sku}", tag = "cart", request_body = ChangeLine,
    params(("sku" = String, Path)),
    responses((status = 200, body = CartBody), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn change_line(
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
    params(("sku" = String, Path)), responses((status = 200, body = CartBody)))]
async fn remove_line(
    State(app): State<Arc<App>>,
    member: Member,
    Path(sku): Path<Sku>,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    change(&app, &member, &command.call(body.fingerprint), Change::Remove { sku }).await
}

/// Takes all lines out.
#[utoipa::path(delete, path = "/api/v1/me/cart/lines", tag = "cart", responses((status = 200, body = CartBody)))]
async fn clear(
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
    answer(member.user_id, &carts::change(app, call, member.user_id, change).await?)
}

/// The cart right after the command: rendered from what was decided, so it waits for nobody.
fn answer(cart_id: Uuid, executed: &Executed) -> Result<Response, Problem> {
    let version = executed.version(0);
    let cart = body(cart_id, version, &executed.state::<Cart>(0).lines)?;
    let etag = Etag::new(version, executed.position);
    Ok((Position(executed.position), etag, Replayed(executed.replayed), Json(cart)).into_response())
}

fn body(id: Uuid, version: u64, lines: &[CartLine]) -> Result<CartBody, Problem> {
    let cart = Cart { owner_id: None, lines: lines.to_vec() };
    let total = cart.total().map_err(|error| Problem::internal(&error))?;
    let lines = cart.lines.iter().map(|line| {
        let total = line.unit_price.times(line.quantity.get());
        Ok(CartLineBody {
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: line.name.clone(),
            picture: line.picture.clone(),
            quantity: line.quantity,
            unit_price: line.unit_price,
            total: total.map_err(|error| Problem::internal(&error))?,
        })
    });
    Ok(CartBody {
        id,
        version,
        currency: cart.currency(),
        lines: lines.collect::<Result<_, Problem>>()?,
        discount: cart.currency().map(Money::zero),
        total,
    })
}
