//! Of every version of every event, the members that the public sees, in the order in which they are
//! written. It is part of the contract with readers: a member that is once here stays, and keeps its
//! place, because streams hold the bytes and an audit compares them.
//!
//! A member that should never have been public is marked `#[withdrawn]`. It keeps its place for the sake of
//! the streams that hold it, is not written any more, and readers are no longer told of it: that breaks what
//! they were promised, so it takes a reason that outweighs them, such as words about a person.
//!
//! A member that is an object, or a list of objects, is spelled out: `lines { sku, quantity }`. Money is
//! not, it is a value. Sealed members cannot be here.

use super::{PublicMember, PublicShape, PublicShapes};
use crate::cart::CartEvent;
use crate::order::OrderEvent;
use crate::payment::PaymentEvent;
use crate::policy::PolicyEvent;
use crate::product::ProductEvent;
use crate::session::SessionEvent;
use crate::stock::StockEvent;
use crate::user::UserEvent;

macro_rules! public {
    ($event:ty { $($event_type:ident $version:literal { $($members:tt)* })+ }) => {
        impl PublicShapes for $event {
            const SHAPES: &'static [PublicShape] = &[$(PublicShape {
                event_type: stringify!($event_type),
                version: $version,
                members: public!(@members $($members)*),
            }),+];
        }
    };
    (@members $($(#[$withdrawn:ident])? $name:ident $({ $($members:tt)+ })?),* $(,)?) => {
        &[$(PublicMember {
            name: stringify!($name),
            members: public!(@part $($($members)+)?),
            withdrawn: public!(@is $($withdrawn)?),
        }),*]
    };
    (@is) => { false };
    (@is withdrawn) => { true };
    (@part) => { None };
    (@part $($members:tt)+) => { Some(public!(@members $($members)+)) };
}

public!(ProductEvent {
    ProductCreated 1 { name, description, picture, categories, variants { sku, number, name } }
    ProductRevised 1 { name, description, picture, categories, variants { sku, number, name } }
    ProductPriced 1 { sku, price }
    ProductPublished 1 {}
    ProductRetired 1 {}
});

public!(StockEvent {
    StockItemOpened 1 { product_id }
    StockReceived 1 { quantity, #[withdrawn] reason }
    StockAdjusted 1 { delta, #[withdrawn] reason }
    StockReserved 1 { order_id, quantity, until }
    StockCommitted 1 { order_id, quantity }
    StockReleased 1 { order_id, quantity, #[withdrawn] reason }
});

public!(CartEvent {
    CartOpened 1 { owner_id }
    ItemAdded 1 { sku, product_id, name, picture, quantity, unit_price, variant }
    QuantityChanged 1 { sku, quantity, unit_price }
    ItemRemoved 1 { sku }
    CartCheckedOut 1 { order_id }
});

public!(OrderEvent {
    OrderPlaced 1 {
        cart_id, customer_id,
        lines { name, picture, product_id, quantity, sku, total, unit_price, variant },
        number, pay_by,
        totals { discount, items, shipping, tax, total },
    }
    OrderAddressChanged 1 {}
    OrderPaymentStarted 1 { payment_id }
    OrderPaymentEnded 1 { payment_id, end }
    OrderPaid 1 { payment_id }
    OrderRequiredNoPayment 1 {}
    OrderCancelled 1 { reason }
});

public!(PaymentEvent {
    PaymentRequested 1 { order_id, customer_id, amount, method }
    PaymentActionRequired 1 { url }
    PaymentAuthorized 1 {}
    PaymentCaptured 1 { amount }
    PaymentCaptureUnreadable 1 { said }
    PaymentDeclined 1 { code }
    PaymentFailed 1 { code }
    PaymentOutcomeUnknown 1 {}
    PaymentVoided 1 {}
    PaymentOrphaned 1 { code, amount }
});

public!(UserEvent {
    UserRegistered 1 { locale, number }
    UserRegistrationAbandoned 1 {}
    ProfileChanged 1 { locale }
    PasswordChanged 1 {}
    RoleGranted 1 { role }
    RoleRevoked 1 { role }
    UserBanned 2 { until }
    UserUnbanned 1 {}
    SessionsEnded 1 { reason }
    EmailVerificationAsked 1 { number, until }
    EmailVerified 1 {}
    PasswordResetAsked 1 { number, until }
    SecondFactorOffered 1 {}
    SecondFactorConfirmed 1 {}
    SecondFactorUsed 1 {}
    RecoveryCodeUsed 1 {}
    SecondFactorRemoved 1 {}
    ApiKeyIssued 1 { key_id, scopes, expires_at, second_factor }
    ApiKeyRotated 1 { key_id, previous_until }
    ApiKeyRevoked 1 { key_id }
    UserErased 1 {}
    UserBanned 1 { #[withdrawn] reason, until }
});

public!(SessionEvent {
    SessionStarted 1 { user_id, expires_at, ends_at, epoch, second_factor }
    SessionProved 1 { proved_at, second_factor }
    SessionKept 1 { epoch }
    SessionRefreshed 1 { presented, generation, refreshed_at, expires_at }
    SessionRevoked 1 { reason }
});

public!(PolicyEvent {
    RuleAdded 1 { rule_id, rule { effect, roles, methods, path, #[withdrawn] note } }
    RuleChanged 1 { rule_id, rule { effect, roles, methods, path, #[withdrawn] note } }
    RuleRemoved 1 { rule_id }
    PublicPathAdded 1 { public_path_id, methods, path }
    PublicPathRemoved 1 { public_path_id }
    AddressBanned 1 { ban_id, #[withdrawn] cidr, #[withdrawn] reason, until }
    AddressUnbanned 1 { ban_id }
    SecondFactorRequired 1 { role }
    SecondFactorWaived 1 { role }
});
