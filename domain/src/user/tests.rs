mod credentials;

use super::*;
use crate::testing::{at, given, reason, role, sealed, state};
use crate::{Locale, Rejection, RejectionKind};

fn locale(tag: &str) -> Locale {
    Locale::parse(tag).expect("a locale")
}

fn register_as(first_role: &str) -> UserCommand {
    UserCommand::Register {
        number: 5,
        profile: sealed("ann"),
        password: sealed("hash"),
        locale: locale("en"),
        role: role(first_role),
        verify_email: false,
    }
}

fn registered() -> Vec<UserEvent> {
    vec![
        UserEvent::UserRegistered {
            number: 5,
            profile: sealed("ann"),
            password: sealed("hash"),
            locale: locale("en"),
        },
        granted("customer"),
    ]
}

fn granted(name: &str) -> UserEvent {
    UserEvent::RoleGranted { role: role(name) }
}

fn sessions_ended(reason: SessionsEnd) -> UserEvent {
    UserEvent::SessionsEnded { reason }
}

fn banned(until: Option<i64>) -> UserEvent {
    UserEvent::UserBanned { reason: BanReason::Sealed(sealed("fraud")), until: until.map(at) }
}

fn ban(until: Option<i64>) -> UserCommand {
    UserCommand::Ban { reason: sealed("fraud"), until: until.map(at) }
}

fn change_profile(profile: &str, tag: &str) -> UserCommand {
    UserCommand::ChangeProfile { profile: sealed(profile), locale: locale(tag) }
}

fn change_password(hash: &str) -> UserCommand {
    UserCommand::ChangePassword { password: sealed(hash), current: None }
}

fn grant(name: &str) -> UserCommand {
    UserCommand::GrantRole { role: role(name) }
}

fn revoke(name: &str) -> UserCommand {
    UserCommand::RevokeRole { role: role(name) }
}

fn registered_and(event: UserEvent) -> Vec<UserEvent> {
    [registered(), vec![event]].concat()
}

/// Every command that needs an account.
fn account_commands() -> Vec<UserCommand> {
    vec![
        change_profile("ann", "zh"),
        change_password("other"),
        grant("staff"),
        revoke("customer"),
        ban(None),
        UserCommand::Unban,
        UserCommand::AskPasswordReset,
        UserCommand::ResetPassword { number: 1, password: sealed("other") },
        UserCommand::AskEmailVerification,
        UserCommand::VerifyEmail { number: 1 },
        UserCommand::EndSessions,
        UserCommand::SecondFactor(SecondFactorCommand::Remove),
        UserCommand::ApiKey(ApiKeyCommand::Revoke { key_id: crate::testing::id(1) }),
    ]
}

const ABANDONED: UserEvent = UserEvent::UserRegistrationAbandoned {};
const ERASED: UserEvent = UserEvent::UserErased {};

#[test]
fn registering_makes_an_account_with_its_first_role() {
    given::<User>(vec![]).when(register_as("customer")).then_expect_events(registered());
}

#[test]
fn an_id_is_registered_once() {
    given::<User>(registered())
        .when(register_as("customer"))
        .then_expect_error(UserRejection::AlreadyExists);
    assert_eq!(UserRejection::AlreadyExists.code(), "user_exists");
}

#[test]
fn an_abandoned_registration_never_becomes_an_account() {
    given::<User>(vec![ABANDONED])
        .when(register_as("customer"))
        .then_expect_error(UserRejection::RegistrationAbandoned);
    assert_eq!(UserRejection::RegistrationAbandoned.kind(), RejectionKind::Conflict);
}

#[test]
fn who_never_registered_is_absent() {
    for before in [vec![], vec![ABANDONED]] {
        for command in account_commands().into_iter().chain([UserCommand::Erase]) {
            given::<User>(before.clone()).when(command).then_expect_error(UserRejection::NotFound);
        }
    }
    assert_eq!(UserRejection::NotFound.kind(), RejectionKind::Absent);
}

#[test]
fn a_profile_changes_only_to_something_else() {
    for (profile, tag) in [("ann b.", "en"), ("ann", "zh")] {
        let event = UserEvent::ProfileChanged { profile: sealed(profile), locale: locale(tag) };
        given::<User>(registered())
            .when(change_profile(profile, tag))
            .then_expect_events(vec![event]);
    }
    given::<User>(registered()).when(change_profile("ann", "en")).then_expect_events(vec![]);
}

#[test]
fn a_password_changes_only_to_another() {
    given::<User>(registered()).when(change_password("other")).then_expect_events(vec![
        UserEvent::PasswordChanged { password: sealed("other") },
        sessions_ended(SessionsEnd::PasswordChanged),
    ]);
    given::<User>(registered()).when(change_password("hash")).then_expect_events(vec![]);
}

#[test]
fn a_password_is_changed_by_whoever_knew_the_one_of_today() {
    let change = |current: &str| UserCommand::ChangePassword {
        password: sealed("other"),
        current: Some(sealed(current)),
    };
    given::<User>(registered())
        .when(change("of before"))
        .then_expect_error(UserRejection::PasswordChanged);
    given::<User>(registered()).when(change("hash")).then_expect_events(vec![
        UserEvent::PasswordChanged { password: sealed("other") },
        sessions_ended(SessionsEnd::PasswordChanged),
    ]);
}

#[test]
fn a_role_is_granted_once_and_revoked_once() {
    given::<User>(registered()).when(grant("staff")).then_expect_events(vec![granted("staff")]);
    given::<User>(registered()).when(grant("customer")).then_expect_events(vec![]);
    let revoked = UserEvent::RoleRevoked { role: role("customer") };
    given::<User>(registered()).when(revoke("customer")).then_expect_events(vec![revoked.clone()]);
    given::<User>(registered_and(revoked)).when(revoke("customer")).then_expect_events(vec![]);
}

#[test]
fn who_loses_a_role_of_the_staff_signs_in_again() {
    let revoked = UserEvent::RoleRevoked { role: role("staff") };
    given::<User>(registered_and(granted("staff")))
        .when(revoke("staff"))
        .then_expect_events(vec![revoked, sessions_ended(SessionsEnd::RoleRevoked)]);
    given::<User>(registered()).when(revoke("staff")).then_expect_events(vec![]);
}

#[test]
fn each_end_of_all_sessions_begins_an_epoch() {
    let ended = sessions_ended(SessionsEnd::Staff);
    given::<User>(registered())
        .when(UserCommand::EndSessions)
        .then_expect_events(vec![ended.clone()]);
    let user: User = state([registered(), vec![ended.clone(), ended]].concat());
    assert_eq!(user.session_epoch, 2);
}

#[test]
fn roles_that_we_give_out_cannot_be_granted() {
    for name in ["anonymous", "authenticated"] {
        let rejection = UserRejection::RoleReserved { role: role(name) };
        assert_eq!((rejection.code(), rejection.kind()), ("role_reserved", RejectionKind::Invalid));
        given::<User>(registered()).when(grant(name)).then_expect_error(rejection.clone());
        given::<User>(vec![]).when(register_as(name)).then_expect_error(rejection);
    }
}

#[test]
fn the_number_of_roles_is_bounded() {
    let roles = (1..MAX_ROLES).map(|number| granted(&format!("role-{number}")));
    let full: Vec<_> = registered().into_iter().chain(roles).collect();
    given::<User>(full.clone()).when(grant("more")).then_expect_error(UserRejection::TooManyRoles);
    given::<User>(full).when(grant("customer")).then_expect_events(vec![]);
}

#[test]
fn a_ban_is_spoken_once_and_lifted_once() {
    let banned_and_out = |until| vec![banned(until), sessions_ended(SessionsEnd::Banned)];
    given::<User>(registered()).when(ban(None)).then_expect_events(banned_and_out(None));
    given::<User>(registered_and(banned(None))).when(ban(None)).then_expect_events(vec![]);
    given::<User>(registered_and(banned(None)))
        .when(ban(Some(60)))
        .then_expect_events(banned_and_out(Some(60)));
    given::<User>(registered_and(banned(None)))
        .when(UserCommand::Unban)
        .then_expect_events(vec![UserEvent::UserUnbanned {}]);
    given::<User>(registered()).when(UserCommand::Unban).then_expect_events(vec![]);
}

#[test]
fn a_ban_of_before_with_its_reason_in_the_clear_is_written_anew_sealed_only() {
    let old = UserEvent::UserBanned { reason: BanReason::Clear(reason("fraud")), until: None };
    let user: User = state(registered_and(old.clone()));
    assert!(user.is_banned(at(0)));
    assert!(!format!("{user:?}").contains("fraud"), "nor in a log");
    let anew = vec![banned(None), sessions_ended(SessionsEnd::Banned)];
    given::<User>(registered_and(old)).when(ban(None)).then_expect_events(anew);
}

#[test]
fn a_ban_lasts_until_its_time_is_over() {
    let user: User = state(registered_and(banned(Some(60))));
    assert!(user.is_banned(at(59)));
    assert!(!user.is_banned(at(60)));
    assert!(state::<User>(registered_and(banned(None))).is_banned(at(1_000_000_000)));
    assert!(!state::<User>(registered()).is_banned(at(0)));
}

#[test]
fn erasure_forgets_everything_but_the_number() {
    given::<User>(registered()).when(UserCommand::Erase).then_expect_events(vec![ERASED]);
    let user: User = state(registered_and(ERASED));
    assert_eq!(user, User { number: Some(5), erased: true, ..User::default() });
    assert!(!user.exists());
}

#[test]
fn erasure_is_final() {
    for command in account_commands().into_iter().chain([register_as("customer")]) {
        given::<User>(registered_and(ERASED))
            .when(command)
            .then_expect_error(UserRejection::NotFound);
    }
}

#[test]
fn erasing_twice_changes_nothing() {
    given::<User>(registered_and(ERASED)).when(UserCommand::Erase).then_expect_events(vec![]);
}
