use crate::public_event::PublicEvent;
use domain::order::{OrderEvent, PaymentEnd};
use domain::user::UserEvent;
use domain::{EventTypes, is_event_name};
use serde::Deserialize;

/// The mails that there are, by what they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailKind {
    /// An order.
    Order(OrderNews),
    /// An account.
    Account(AccountNews),
}

/// What a mail tells about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderNews {
    /// It was placed.
    Confirmation,
    /// It was paid.
    PaymentReceived,
    /// A payment was declined; another one can be tried.
    PaymentDeclined,
}

/// What a mail tells about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountNews {
    /// How to prove that the address is one's own.
    EmailVerification,
    /// How to choose another password.
    PasswordReset,
    /// That the password is another one: whoever did not change it has to know.
    PasswordChanged,
    /// That a second factor is asked for from now on.
    SecondFactorAdded,
    /// That none is asked for any more.
    SecondFactorRemoved,
    /// That a program may act for them.
    ApiKeyIssued,
}

const ORDER: &str = "order";
const PLACED: &str = "OrderPlaced";
const PAID: &str = "OrderPaid";
const PAYMENT_ENDED: &str = "OrderPaymentEnded";

const USER: &str = "user";
const VERIFICATION_ASKED: &str = "EmailVerificationAsked";
const RESET_ASKED: &str = "PasswordResetAsked";
const PASSWORD_CHANGED: &str = "PasswordChanged";
const FACTOR_ADDED: &str = "SecondFactorConfirmed";
const FACTOR_REMOVED: &str = "SecondFactorRemoved";
const KEY_ISSUED: &str = "ApiKeyIssued";

/// An event that is renamed would silently send no mail.
const _: () = {
    assert!(is_event_name(OrderEvent::TYPES, PLACED));
    assert!(is_event_name(OrderEvent::TYPES, PAID));
    assert!(is_event_name(OrderEvent::TYPES, PAYMENT_ENDED));
    assert!(is_event_name(UserEvent::TYPES, VERIFICATION_ASKED));
    assert!(is_event_name(UserEvent::TYPES, RESET_ASKED));
    assert!(is_event_name(UserEvent::TYPES, PASSWORD_CHANGED));
    assert!(is_event_name(UserEvent::TYPES, FACTOR_ADDED));
    assert!(is_event_name(UserEvent::TYPES, FACTOR_REMOVED));
    assert!(is_event_name(UserEvent::TYPES, KEY_ISSUED));
};

/// Every kind: its name in the database and in logs, and the event that sends it.
const KINDS: &[(MailKind, &str, (&str, &str))] = &[
    (MailKind::Order(OrderNews::Confirmation), "order_confirmation", (ORDER, PLACED)),
    (MailKind::Order(OrderNews::PaymentReceived), "payment_received", (ORDER, PAID)),
    (MailKind::Order(OrderNews::PaymentDeclined), "payment_declined", (ORDER, PAYMENT_ENDED)),
    (
        MailKind::Account(AccountNews::EmailVerification),
        "email_verification",
        (USER, VERIFICATION_ASKED),
    ),
    (MailKind::Account(AccountNews::PasswordReset), "password_reset", (USER, RESET_ASKED)),
    (MailKind::Account(AccountNews::PasswordChanged), "password_changed", (USER, PASSWORD_CHANGED)),
    (
        MailKind::Account(AccountNews::SecondFactorAdded),
        "second_factor_added",
        (USER, FACTOR_ADDED),
    ),
    (
        MailKind::Account(AccountNews::SecondFactorRemoved),
        "second_factor_removed",
        (USER, FACTOR_REMOVED),
    ),
    (MailKind::Account(AccountNews::ApiKeyIssued), "api_key_issued", (USER, KEY_ISSUED)),
];

impl MailKind {
    /// The events that may send a mail: aggregate type and event type.
    pub const EVENTS: &'static [(&'static str, &'static str)] = &[
        (ORDER, PLACED),
        (ORDER, PAID),
        (ORDER, PAYMENT_ENDED),
        (USER, VERIFICATION_ASKED),
        (USER, RESET_ASKED),
        (USER, PASSWORD_CHANGED),
        (USER, FACTOR_ADDED),
        (USER, FACTOR_REMOVED),
        (USER, KEY_ISSUED),
    ];

    /// The mail that an event sends, if it sends one.
    #[must_use]
    pub fn of(event: &PublicEvent<'_>) -> Option<Self> {
        let name = (event.aggregate_type(), event.event_type());
        let (kind, _, _) = KINDS.iter().find(|(_, _, sender)| *sender == name)?;
        let is_silent = *kind == Self::Order(OrderNews::PaymentDeclined) && !declined(event);
        (!is_silent).then_some(*kind)
    }

    /// The event that sends it: aggregate type and event type.
    pub(super) fn event(self) -> (&'static str, &'static str) {
        self.row().1
    }

    /// Its name in the database and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Whether one thing can have these news many times within the hour, of which one mail is enough.
    pub(super) fn comes_again_and_again(self) -> bool {
        match self {
            Self::Order(OrderNews::PaymentDeclined) => true,
            Self::Order(OrderNews::Confirmation | OrderNews::PaymentReceived)
            | Self::Account(_) => false,
        }
    }

    /// The kind of that name in the database, if this build knows it.
    pub(super) fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known, _)| *known == name).map(|(kind, _, _)| *kind)
    }

    fn row(self) -> (&'static str, (&'static str, &'static str)) {
        let found = KINDS.iter().find(|(kind, _, _)| *kind == self);
        found.map(|(_, name, event)| (*name, *event)).expect("every kind has its row")
    }
}

fn declined(event: &PublicEvent<'_>) -> bool {
    #[derive(Deserialize)]
    struct Ended {
        end: PaymentEnd,
    }
    event
        .data
        .as_deref()
        .and_then(|data| serde_json::from_str::<Ended>(data.get()).ok())
        .is_some_and(|ended| ended.end == PaymentEnd::Declined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row_and_its_event_is_listened_to() {
        let orders =
            [OrderNews::Confirmation, OrderNews::PaymentReceived, OrderNews::PaymentDeclined];
        let accounts = [
            AccountNews::EmailVerification,
            AccountNews::PasswordReset,
            AccountNews::PasswordChanged,
            AccountNews::SecondFactorAdded,
            AccountNews::SecondFactorRemoved,
            AccountNews::ApiKeyIssued,
        ];
        let kinds = orders.map(MailKind::Order).into_iter().chain(accounts.map(MailKind::Account));
        for kind in kinds {
            assert!(MailKind::EVENTS.contains(&kind.event()));
            assert_eq!(MailKind::named(kind.as_str()), Some(kind));
        }
    }
}
