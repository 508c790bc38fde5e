//! The member's cart.

use super::schema;
use crate::app::App;
use crate::guard::Member;
use crate::http::{
    AtLeast, Body, Command, Etag, IfNoneMatch, Json, Params, Path, Position, Problem, Replayed,
};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use commands::bus::{Executed, Plan};
use domain::cart::{Cart, CartCommand, CartLine};
use domain::{Currency, Money, Name, Quantity, Sku, Text};
use projections::carts::CartView;
use projections::catalogue::OfferView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
    let add = item(&app, &member, body.value).await;
    execute(&app, &member, &command, body.fingerprint, add).await
}

async fn item(app: &App, member: &Member, line: AddLine) -> Result<CartCommand, Problem> {
    let AddLine { sku, quantity } = line;
    let quantity = line_quantity(quantity)?;
    let offer = offer(app, &sku).await?;
    Ok(CartCommand::AddItem {
        owner_id: member.user_id,
        sku,
        product_id: offer.product_id,
        unit_price: price(&offer)?,
        name: offer.product_name,
        picture: offer.picture,
        quantity,
    })
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
    let change = quantity(&app, sku, body.value.quantity).await;
    execute(&app, &member, &command, body.fingerprint, change).await
}

async fn quantity(app: &App, sku: Sku, quantity: u32) -> Result<CartCommand, Problem> {
    if quantity == 0 {
        return Ok(CartCommand::RemoveItem { sku });
    }
    let quantity = line_quantity(quantity)?;
    let unit_price = price(&offer(app, &sku).await?)?;
    Ok(CartCommand::ChangeQuantity { sku, quantity, unit_price })
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
    let remove = Ok(CartCommand::RemoveItem { sku });
    execute(&app, &member, &command, body.fingerprint, remove).await
}

/// Takes all lines out.
#[utoipa::path(delete, path = "/api/v1/me/cart/lines", tag = "cart", responses((status = 200, body = CartBody)))]
async fn clear(
    State(app): State<Arc<App>>,
    member: Member,
    command: Command,
    body: Body<NoParams>,
) -> Result<Response, Problem> {
    execute(&app, &member, &command, body.fingerprint, Ok(CartCommand::Clear)).await
}

/// The offer of today. It may be a moment old: the checkout reads the price again.
async fn offer(app: &App, sku: &Sku) -> Result<OfferView, Problem> {
    let mut offers =
        projections::catalogue::variants_by_sku(&app.pool, std::slice::from_ref(sku)).await?;
    offers.pop().filter(|offer| offer.on_sale).ok_or_else(unknown_sku)
}

fn unknown_sku() -> Problem {
    Problem::new(http::StatusCode::NOT_FOUND, "unknown_sku", "Nothing is sold under this SKU.")
}

fn price(offer: &OfferView) -> Result<Money, Problem> {
    offer.price.ok_or_else(unknown_sku)
}

fn line_quantity(quantity: u32) -> Result<Quantity, Problem> {
    Quantity::new(quantity).map_err(|_| {
        let detail = format!("A line holds 1 to {} pieces.", Quantity::MAX);
        Problem::new(http::StatusCode::UNPROCESSABLE_ENTITY, "quantity_out_of_range", detail)
    })
}

/// Changes the cart, or refuses to for a reason that was found on the way to the change.
async fn execute(
    app: &App,
    member: &Member,
    command: &Command,
    fingerprint: crate::http::Fingerprint,
    change: Result<CartCommand, Problem>,
) -> Result<Response, Problem> {
    let (plan, cart_id) = (Plan::new(&command.context), member.user_id.to_string());
    let key = command.request_key(fingerprint);
    let executed = match change {
        Ok(change) => {
            app.bus.execute(plan.step::<Cart>(cart_id, change).keyed(key, Value::Null)).await?
        }
        Err(problem) => {
            app.refuse(plan.look::<Cart>(cart_id).keyed(key, Value::Null), problem).await?
        }
    };
    answer(member.user_id, &executed)
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
