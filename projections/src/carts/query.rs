use super::view::CartView;
use crate::page::QueryError;
use crate::rows::Row;
use domain::{CartId, UserId};
use sqlx::PgPool;
use sqlx::types::Json;
use uuid::Uuid;

/// The cart of a member; none before the first line, which is as good as an empty one.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_owner(pool: &PgPool, owner_id: UserId) -> Result<Option<CartView>, QueryError> {
    // Newest first: an owner has one cart today, and more once guests sign in.
    one(pool, "owner_id = $1 order by position desc limit 1", owner_id.uuid()).await
}

/// A cart by its own id.
///
/// # Errors
/// [`QueryError::Database`].
pub async fn by_id(pool: &PgPool, cart_id: CartId) -> Result<Option<CartView>, QueryError> {
    one(pool, "cart_id = $1", cart_id.uuid()).await
}

async fn one(pool: &PgPool, condition: &str, id: Uuid) -> Result<Option<CartView>, QueryError> {
    let columns = CartView::COLUMNS;
    let select =
        format!("select row_to_json(r) from (select {columns} from carts where {condition}) r");
    let found: Option<Json<CartView>> =
        sqlx::query_scalar(&select).bind(id).fetch_optional(pool).await?;
    Ok(found.map(|Json(cart)| cart))
}
