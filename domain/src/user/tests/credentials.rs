//! What a user proves themselves with: tokens by mail, the second factor, keys of programs.

use super::*;
use crate::testing::{given_at, id};
use crate::{ApiKeyHash, ApiKeyId};

fn reset_asked(number: u32, seconds: i64) -> UserEvent {
    UserEvent::PasswordResetAsked { number, until: at(seconds + TOKEN_SECONDS) }
}

fn verification_asked(number: u32, seconds: i64) -> UserEvent {
    UserEvent::EmailVerificationAsked { number, until: at(seconds + TOKEN_SECONDS) }
}

fn reset(number: u32) -> UserCommand {
    UserCommand::ResetPassword { number, password: sealed("other") }
}

fn password_changed() -> UserEvent {
    UserEvent::PasswordChanged { password: sealed("other") }
}

const VERIFIED: UserEvent = UserEvent::EmailVerified {};

#[test]
fn who_registers_is_sent_a_token_if_their_address_is_to_be_proved() {
    let UserCommand::Register { number, profile, password, locale, role, .. } =
        register_as("customer")
    else {
        unreachable!()
    };
    let command =
        UserCommand::Register { number, profile, password, locale, role, verify_email: true };
    given::<User>(vec![])
        .when(command)
        .then_expect_events(registered_and(verification_asked(1, 0)));
}

#[test]
fn a_token_that_lets_choose_another_password_does_once() {
    given::<User>(registered())
        .when(UserCommand::AskPasswordReset)
        .then_expect_events(vec![reset_asked(1, 0)]);
    let changed = vec![password_changed(), VERIFIED, sessions_ended(SessionsEnd::PasswordChanged)];
    given_at::<User>(TOKEN_SECONDS - 1, registered_and(reset_asked(1, 0)))
        .when(reset(1))
        .then_expect_events(changed.clone());
    let used = [registered_and(reset_asked(1, 0)), changed].concat();
    given::<User>(used).when(reset(1)).then_expect_error(UserRejection::TokenSpent);
}

#[test]
fn a_token_dies_by_time_by_a_newer_one_and_by_a_change_of_the_password() {
    let asked = || registered_and(reset_asked(1, 0));
    let spent = UserRejection::TokenSpent;
    assert_eq!((spent.code(), spent.kind()), ("invalid_token", RejectionKind::Invalid));
    given_at::<User>(TOKEN_SECONDS, asked()).when(reset(1)).then_expect_error(spent.clone());
    for more in [reset_asked(2, 100), password_changed(), change_of_profile()] {
        let events = [asked(), vec![more]].concat();
        given::<User>(events).when(reset(1)).then_expect_error(spent.clone());
    }
    // Nor does one kind of token do for the other.
    given::<User>(registered_and(verification_asked(1, 0))).when(reset(1)).then_expect_error(spent);
}

fn change_of_profile() -> UserEvent {
    UserEvent::ProfileChanged { profile: sealed("ann b."), locale: locale("en") }
}

#[test]
fn who_asks_again_within_a_minute_has_been_sent_one_already() {
    let asked = || registered_and(reset_asked(1, 0));
    given_at::<User>(TOKEN_PAUSE_SECONDS - 1, asked())
        .when(UserCommand::AskPasswordReset)
        .then_expect_events(vec![]);
    given_at::<User>(TOKEN_PAUSE_SECONDS, asked())
        .when(UserCommand::AskPasswordReset)
        .then_expect_events(vec![reset_asked(2, TOKEN_PAUSE_SECONDS)]);
    // Tokens of the two kinds are numbered in one row, so that none is taken for another.
    given_at::<User>(1, asked())
        .when(UserCommand::AskEmailVerification)
        .then_expect_events(vec![verification_asked(2, 1)]);
}

#[test]
fn an_address_is_proved_once_and_anew_when_it_changes() {
    let asked = || registered_and(verification_asked(1, 0));
    let verify = |number| UserCommand::VerifyEmail { number };
    given::<User>(asked()).when(verify(1)).then_expect_events(vec![VERIFIED]);
    for number in [0, 2] {
        given::<User>(asked()).when(verify(number)).then_expect_error(UserRejection::TokenSpent);
    }
    let proved = || [asked(), vec![VERIFIED]].concat();
    given::<User>(proved()).when(verify(1)).then_expect_error(UserRejection::TokenSpent);
    given_at::<User>(600, proved())
        .when(UserCommand::AskEmailVerification)
        .then_expect_events(vec![]);
    let moved = [proved(), vec![change_of_profile()]].concat();
    assert!(!state::<User>(moved).tickets.email_verified);
}

fn factor(command: SecondFactorCommand) -> UserCommand {
    UserCommand::SecondFactor(command)
}

fn with_factor() -> Vec<UserEvent> {
    let offered = UserEvent::SecondFactorOffered { secret: sealed("secret") };
    [registered(), vec![offered, UserEvent::SecondFactorConfirmed { step: 100 }]].concat()
}

#[test]
fn a_second_factor_counts_when_it_was_confirmed() {
    let offered = UserEvent::SecondFactorOffered { secret: sealed("secret") };
    let confirm = || factor(SecondFactorCommand::Confirm { step: 100 });
    given::<User>(registered())
        .when(factor(SecondFactorCommand::Offer { secret: sealed("secret") }))
        .then_expect_events(vec![offered.clone()]);
    given::<User>(registered()).when(confirm()).then_expect_error(UserRejection::NoSecondFactor);
    let offered = registered_and(offered);
    assert!(!state::<User>(offered.clone()).second_factor.is_asked_for());
    given::<User>(offered)
        .when(confirm())
        .then_expect_events(vec![UserEvent::SecondFactorConfirmed { step: 100 }]);
    assert!(state::<User>(with_factor()).second_factor.is_asked_for());
}

#[test]
fn a_code_counts_once_and_none_before_it_counts_any_more() {
    let used = UserEvent::SecondFactorUsed { step: 101 };
    let take = |step| factor(SecondFactorCommand::Use { step });
    given::<User>(with_factor()).when(take(101)).then_expect_events(vec![used.clone()]);
    let after = [with_factor(), vec![used]].concat();
    for step in [99, 100, 101] {
        given::<User>(after.clone()).when(take(step)).then_expect_error(UserRejection::CodeSpent);
    }
    given::<User>(with_factor()).when(take(100)).then_expect_error(UserRejection::CodeSpent);
    given::<User>(registered()).when(take(1)).then_expect_error(UserRejection::NoSecondFactor);
}

#[test]
fn a_recovery_code_counts_once() {
    let take = || factor(SecondFactorCommand::UseRecoveryCode { index: 3 });
    let used = UserEvent::RecoveryCodeUsed { index: 3 };
    given::<User>(with_factor()).when(take()).then_expect_events(vec![used.clone()]);
    let after = [with_factor(), vec![used]].concat();
    given::<User>(after).when(take()).then_expect_error(UserRejection::CodeSpent);
}

#[test]
fn another_second_factor_is_not_asked_for_before_it_is_confirmed_and_brings_its_own_codes() {
    let other = UserEvent::SecondFactorOffered { secret: sealed("other") };
    let used = UserEvent::RecoveryCodeUsed { index: 3 };
    let events = [with_factor(), vec![used, other]].concat();
    let user: User = state(events.clone());
    assert_eq!(user.second_factor.confirmed, Some(sealed("secret")));
    let confirmed = UserEvent::SecondFactorConfirmed { step: 7 };
    let user: User = state([events, vec![confirmed]].concat());
    assert_eq!(user.second_factor.confirmed, Some(sealed("other")));
    assert!(user.second_factor.used_recovery_codes.is_empty());
    assert_eq!(user.second_factor.last_step, 7);
}

#[test]
fn a_second_factor_is_removed_once() {
    let removed = UserEvent::SecondFactorRemoved {};
    let remove = || factor(SecondFactorCommand::Remove);
    given::<User>(with_factor()).when(remove()).then_expect_events(vec![removed.clone()]);
    let user: User = state([with_factor(), vec![removed]].concat());
    assert_eq!(user.second_factor, SecondFactor::default());
    given::<User>(registered()).when(remove()).then_expect_events(vec![]);
}

fn hash(digit: &str) -> ApiKeyHash {
    ApiKeyHash::parse(digit.repeat(64)).expect("64 digits")
}

fn key_id(number: u128) -> ApiKeyId {
    id(number)
}

fn issue(number: u128, scope: &str) -> UserCommand {
    UserCommand::ApiKey(ApiKeyCommand::Issue {
        key_id: key_id(number),
        name: sealed("reports"),
        scopes: [role(scope)].into(),
        expires_at: at(1_000_000),
        second_factor: false,
        hash: hash("1"),
    })
}

fn issued(number: u128) -> UserEvent {
    UserEvent::ApiKeyIssued {
        key_id: key_id(number),
        name: sealed("reports"),
        scopes: [role("customer")].into(),
        expires_at: at(1_000_000),
        second_factor: false,
        hash: hash("1"),
    }
}

#[test]
fn a_key_has_no_scope_that_its_owner_lacks() {
    given::<User>(registered()).when(issue(1, "customer")).then_expect_events(vec![issued(1)]);
    given::<User>(registered())
        .when(issue(1, "admin"))
        .then_expect_error(UserRejection::ScopeNotHeld { role: role("admin") });
}

#[test]
fn the_number_of_keys_is_bounded() {
    let keys = (0..MAX_API_KEYS).map(|number| issued(number as u128));
    let full: Vec<_> = registered().into_iter().chain(keys).collect();
    given::<User>(full.clone())
        .when(issue(99, "customer"))
        .then_expect_error(UserRejection::TooManyApiKeys);
    let revoked = UserEvent::ApiKeyRevoked { key_id: key_id(0) };
    let revoke = UserCommand::ApiKey(ApiKeyCommand::Revoke { key_id: key_id(0) });
    given::<User>(full.clone()).when(revoke.clone()).then_expect_events(vec![revoked.clone()]);
    let room = [full, vec![revoked]].concat();
    given::<User>(room.clone()).when(issue(99, "customer")).then_expect_events(vec![issued(99)]);
    given::<User>(room).when(revoke).then_expect_error(UserRejection::NoSuchApiKey);
}

#[test]
fn keys_end_with_all_sessions() {
    let ended = sessions_ended(SessionsEnd::PasswordChanged);
    let user: User = state([registered(), vec![issued(1), ended]].concat());
    assert!(user.api_keys.is_empty());
}

#[test]
fn a_key_that_is_over_gets_no_other_secret() {
    let rotate = ApiKeyCommand::Rotate { key_id: key_id(1), hash: hash("2") };
    given_at::<User>(1_000_000, registered_and(issued(1)))
        .when(UserCommand::ApiKey(rotate))
        .then_expect_error(UserRejection::NoSuchApiKey);
}

#[test]
fn a_rotated_key_takes_both_secrets_for_a_day() {
    let rotate = |number| {
        UserCommand::ApiKey(ApiKeyCommand::Rotate { key_id: key_id(number), hash: hash("2") })
    };
    let rotated = UserEvent::ApiKeyRotated {
        key_id: key_id(1),
        hash: hash("2"),
        previous_until: at(60 + ROTATION_SECONDS),
    };
    given_at::<User>(60, registered_and(issued(1)))
        .when(rotate(1))
        .then_expect_events(vec![rotated.clone()]);
    given::<User>(registered()).when(rotate(1)).then_expect_error(UserRejection::NoSuchApiKey);
    let user: User = state([registered(), vec![issued(1), rotated]].concat());
    let key = &user.api_keys[&key_id(1)];
    let a_day_later = 60 + ROTATION_SECONDS;
    assert!(key.accepts(&hash("1"), at(a_day_later - 1)) && key.accepts(&hash("2"), at(0)));
    assert!(!key.accepts(&hash("1"), at(a_day_later)) && key.accepts(&hash("2"), at(a_day_later)));
    assert!(!key.accepts(&hash("2"), at(1_000_000)), "it is over");
    assert!(!key.accepts(&hash("3"), at(0)));
}
