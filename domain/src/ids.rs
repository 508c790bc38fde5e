//! What the shop's things are named by: a type for each kind, so that the id of one is never taken for the id of
//! another. Stored, sent and shown they are what a UUID is.
//!
//! An id is made from a UUID where it enters, and says its UUID where it leaves. From one kind to another there
//! is no way but the functions at the end of this file, each for a reason that is a rule of the shop:
//!
//! ```
//! # use domain::{CartId, UserId, order::Order};
//! # let user_id = UserId::from(uuid::Uuid::nil());
//! let order = Order { cart_id: Some(CartId::of(user_id)), ..Order::default() };
//! ```
//!
//! Without one it does not compile:
//!
//! ```compile_fail,E0308
//! # use domain::{CartId, UserId, order::Order};
//! # let user_id = UserId::from(uuid::Uuid::nil());
//! let order = Order { cart_id: Some(user_id), ..Order::default() };
//! ```

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// What it is stored as.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                Uuid::inline_schema()
            }

            fn schema_name() -> Cow<'static, str> {
                Uuid::schema_name()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Uuid::json_schema(generator)
            }
        }
    )+};
}

ids! {
    /// A user: a member, a member of the staff, whose orders, payments and sealed data they are.
    UserId
    /// A session of a user.
    SessionId
    /// A key that a program acts for a user with.
    ApiKeyId
    /// A cart.
    CartId
    /// An order.
    OrderId
    /// A payment, one attempt to pay for an order.
    PaymentId
    /// A product.
    ProductId
    /// A permission rule.
    RuleId
    /// An entry of the paths that need no permission.
    PublicPathId
    /// A ban, of a user or of addresses.
    BanId
}

impl CartId {
    /// A member has one cart, and it has the member's id.
    #[must_use]
    pub fn of(member_id: UserId) -> Self {
        Self(member_id.0)
    }
}

impl BanId {
    /// A user has one ban at most, and it has the user's id.
    #[must_use]
    pub fn of(user_id: UserId) -> Self {
        Self(user_id.0)
    }

    /// Whose ban it is, if it is a user's: of addresses' bans, nobody has this id.
    #[must_use]
    pub fn user_id(self) -> UserId {
        UserId(self.0)
    }
}
