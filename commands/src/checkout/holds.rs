//! How many orders may wait for their money at once: each holds stock back, and sends a mail. One that required no
//! payment counts for a while, too.

use super::CheckoutRejection;
use crate::bus::{Bus, ExecuteError, Plan};
use domain::tag::ORDERED_BY;
use domain::{Rejection, Tag, UserId};

/// Of one user. Nobody has so many carts to pay; with a hundred lines of 999 pieces each it is a lot of stock all
/// the same. Holds over all processes, whatever comes at once.
pub const MAX_OF_USER: u32 = 20;

/// Of one address, whoever comes from there: many people do, through one router. Counted a moment before the order is
/// placed, and nothing expects it to stay: orders from one address must not wait for each other. So it is overshot by
/// what comes in that moment.
pub const MAX_OF_ADDRESS: u32 = 200;

/// The tags of an order: its user's, and its address's where that is known.
pub(super) fn tagged(plan: Plan, customer_id: UserId, address: Option<&str>) -> Plan {
    let plan = plan.tagged(of_user(customer_id));
    match address {
        Some(address) => plan.tagged(of_address(customer_id, address)),
        None => plan,
    }
}

/// The plan, refused when its user has too many orders open.
pub(super) fn bounded(plan: Plan, customer_id: UserId) -> Plan {
    plan.at_most_open(MAX_OF_USER, of_user(customer_id), too_many)
}

/// Refuses when an address has too many orders open.
pub(super) async fn check_address(
    bus: &Bus,
    customer_id: UserId,
    address: &str,
) -> Result<Option<Box<dyn Rejection>>, ExecuteError> {
    let open = bus.open_orders(&of_address(customer_id, address), MAX_OF_ADDRESS).await?;
    Ok((open >= MAX_OF_ADDRESS).then(too_many))
}

fn too_many() -> Box<dyn Rejection> {
    Box::new(CheckoutRejection::TooManyOpenOrders)
}

fn of_user(customer_id: UserId) -> Tag {
    Tag { name: ORDERED_BY, value: format!("user/{customer_id}"), person_id: None }
}

/// From where somebody ordered is theirs: it goes with their key.
fn of_address(customer_id: UserId, address: &str) -> Tag {
    Tag { name: ORDERED_BY, value: format!("address/{address}"), person_id: Some(customer_id) }
}
