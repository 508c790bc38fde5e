use super::*;
use crate::testing::{at, facts_at, given, given_at, id, state};
use crate::{Rejection, RejectionKind};
use cqrs_es::Aggregate;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// When sessions of these tests end, if they are not refreshed.
const END_SECONDS: i64 = 3600;

/// When they end however often they are.
const LAST_END_SECONDS: i64 = 10 * END_SECONDS;

fn started() -> SessionEvent {
    started_until(END_SECONDS, LAST_END_SECONDS)
}

fn started_until(seconds: i64, last: i64) -> SessionEvent {
    SessionEvent::SessionStarted {
        user_id: id(1),
        expires_at: at(seconds),
        ends_at: Some(at(last)),
        epoch: 1,
        proved_at: Some(at(0)),
        second_factor: false,
        device: None,
    }
}

fn start() -> SessionCommand {
    SessionCommand::Start {
        user_id: id(1),
        expires_at: at(END_SECONDS),
        ends_at: at(LAST_END_SECONDS),
        epoch: 1,
        second_factor: false,
        device: None,
    }
}

fn refreshed(presented: u32, generation: u32, seconds: i64) -> SessionEvent {
    SessionEvent::SessionRefreshed {
        presented,
        generation,
        refreshed_at: at(seconds),
        expires_at: at(END_SECONDS),
    }
}

fn revoked(reason: SessionEnd) -> SessionEvent {
    SessionEvent::SessionRevoked { reason }
}

fn refresh(generation: u32) -> SessionCommand {
    SessionCommand::Refresh { generation, expires_at: at(END_SECONDS) }
}

fn revoke(reason: SessionEnd) -> SessionCommand {
    SessionCommand::Revoke { reason }
}

#[test]
fn a_session_is_started_once() {
    given::<Session>(vec![]).when(start()).then_expect_events(vec![started()]);
    given::<Session>(vec![started()])
        .when(start())
        .then_expect_error(SessionRejection::AlreadyExists);
}

#[test]
fn a_live_token_is_exchanged_for_the_next() {
    given_at::<Session>(60, vec![started()])
        .when(refresh(1))
        .then_expect_events(vec![refreshed(1, 2, 60)]);
    let session: Session = state([started(), refreshed(1, 2, 60)]);
    assert_eq!((session.generation, session.live), (2, vec![2]));
}

#[test]
fn refreshing_prolongs_the_session() {
    let later = at(9 * END_SECONDS);
    let event = SessionEvent::SessionRefreshed {
        presented: 1,
        generation: 2,
        refreshed_at: at(60),
        expires_at: later,
    };
    given_at::<Session>(60, vec![started()])
        .when(SessionCommand::Refresh { generation: 1, expires_at: later })
        .then_expect_events(vec![event.clone()]);
    assert!(state::<Session>([started(), event]).is_live(at(END_SECONDS)));
}

#[test]
fn a_spent_token_is_tolerated_for_ten_seconds() {
    given_at::<Session>(70, vec![started(), refreshed(1, 2, 60)])
        .when(refresh(1))
        .then_expect_events(vec![refreshed(1, 3, 70)]);
}

#[test]
fn a_spent_token_that_comes_back_later_revokes_the_family() {
    given_at::<Session>(71, vec![started(), refreshed(1, 2, 60)])
        .when(refresh(1))
        .then_expect_events(vec![revoked(SessionEnd::RefreshReused)]);
}

#[test]
fn the_tolerance_counts_from_the_first_exchange() {
    let events = vec![started(), refreshed(1, 2, 60), refreshed(1, 3, 69)];
    given_at::<Session>(71, events)
        .when(refresh(1))
        .then_expect_events(vec![revoked(SessionEnd::RefreshReused)]);
}

#[test]
fn both_tabs_that_refreshed_at_once_go_on_working() {
    let both = || vec![started(), refreshed(1, 2, 60), refreshed(1, 3, 62)];
    given_at::<Session>(600, both())
        .when(refresh(2))
        .then_expect_events(vec![refreshed(2, 4, 600)]);
    given_at::<Session>(600, both())
        .when(refresh(3))
        .then_expect_events(vec![refreshed(3, 4, 600)]);
    // One tab's refresh spends only its own token.
    let one_went_on = [both(), vec![refreshed(2, 4, 600)]].concat();
    given_at::<Session>(900, one_went_on)
        .when(refresh(3))
        .then_expect_events(vec![refreshed(3, 5, 900)]);
}

#[test]
fn a_second_exchange_in_the_same_tab_does_not_end_the_tolerance_of_the_first() {
    given_at::<Session>(65, vec![started(), refreshed(1, 2, 60), refreshed(2, 3, 64)])
        .when(refresh(1))
        .then_expect_events(vec![refreshed(1, 4, 65)]);
}

#[test]
fn after_a_reuse_no_token_of_the_family_is_accepted() {
    let events = vec![started(), refreshed(1, 2, 60), revoked(SessionEnd::RefreshReused)];
    for generation in [1, 2, 3] {
        given_at::<Session>(71, events.clone())
            .when(refresh(generation))
            .then_expect_error(SessionRejection::RefreshReused);
    }
    let rejection = SessionRejection::RefreshReused;
    assert_eq!(
        (rejection.code(), rejection.kind()),
        ("refresh_reused", RejectionKind::Unauthenticated)
    );
}

#[test]
fn a_session_that_was_ended_accepts_no_token() {
    for reason in [SessionEnd::SignedOut, SessionEnd::Revoked] {
        given_at::<Session>(60, vec![started(), revoked(reason)])
            .when(refresh(1))
            .then_expect_error(SessionRejection::Revoked);
    }
}

#[test]
fn a_session_that_was_not_refreshed_in_time_is_over() {
    given_at::<Session>(END_SECONDS - 1, vec![started()])
        .when(refresh(1))
        .then_expect_events(vec![refreshed(1, 2, END_SECONDS - 1)]);
    given_at::<Session>(END_SECONDS, vec![started()])
        .when(refresh(1))
        .then_expect_error(SessionRejection::Expired);
}

#[test]
fn a_token_that_was_never_given_out_is_not_accepted_and_harms_nobody() {
    for generation in [0, 2, u32::MAX] {
        given_at::<Session>(60, vec![started()])
            .when(refresh(generation))
            .then_expect_error(SessionRejection::TokenNotLive);
    }
    given::<Session>(vec![]).when(refresh(1)).then_expect_error(SessionRejection::TokenNotLive);
}

#[test]
fn only_a_reuse_tells_the_client_more_than_that_it_is_not_accepted() {
    for rejection in
        [SessionRejection::TokenNotLive, SessionRejection::Expired, SessionRejection::Revoked]
    {
        assert_eq!(
            (rejection.code(), rejection.kind()),
            ("unauthenticated", RejectionKind::Unauthenticated)
        );
    }
}

/// Token 1 was repeated until nine successors (2 to 10) were given out.
fn crowded() -> Vec<SessionEvent> {
    let repeats = (2..=10).map(|generation| refreshed(1, generation, 60));
    [started()].into_iter().chain(repeats).collect()
}

#[test]
fn the_oldest_live_token_is_dropped_without_revoking_the_family() {
    assert_eq!(state::<Session>(crowded()).live, [3, 4, 5, 6, 7, 8, 9, 10]);
    given_at::<Session>(600, crowded())
        .when(refresh(2))
        .then_expect_error(SessionRejection::TokenNotLive);
    given_at::<Session>(600, crowded())
        .when(refresh(3))
        .then_expect_events(vec![refreshed(3, 11, 600)]);
}

#[test]
fn reuse_is_still_found_after_a_token_was_dropped() {
    let events = [crowded(), vec![refreshed(3, 11, 600)]].concat();
    given_at::<Session>(700, events)
        .when(refresh(3))
        .then_expect_events(vec![revoked(SessionEnd::RefreshReused)]);
}

#[test]
fn whoever_exchanges_one_token_again_and_again_does_not_hide_that_it_was_spent() {
    for successors in [2, 9, 12, 31] {
        let repeats = (2..=successors + 1).map(|generation| refreshed(1, generation, 60));
        let events: Vec<_> = [started()].into_iter().chain(repeats).collect();
        given_at::<Session>(71, events)
            .when(refresh(1))
            .then_expect_events(vec![revoked(SessionEnd::RefreshReused)]);
    }
}

#[test]
fn ending_a_session_twice_changes_nothing() {
    given::<Session>(vec![started()])
        .when(revoke(SessionEnd::SignedOut))
        .then_expect_events(vec![revoked(SessionEnd::SignedOut)]);
    given::<Session>(vec![started(), revoked(SessionEnd::SignedOut)])
        .when(revoke(SessionEnd::Revoked))
        .then_expect_events(vec![]);
}

#[test]
fn a_session_that_was_never_started_cannot_be_ended() {
    given::<Session>(vec![])
        .when(revoke(SessionEnd::SignedOut))
        .then_expect_error(SessionRejection::NotFound);
}

#[test]
fn refreshing_does_not_prolong_it_beyond_its_last_end() {
    given_at::<Session>(60, vec![started_until(END_SECONDS, END_SECONDS + 5)])
        .when(SessionCommand::Refresh { generation: 1, expires_at: at(9 * END_SECONDS) })
        .then_expect_events(vec![SessionEvent::SessionRefreshed {
            presented: 1,
            generation: 2,
            refreshed_at: at(60),
            expires_at: at(END_SECONDS + 5),
        }]);
}

#[test]
fn a_session_from_before_there_was_a_last_end_has_one() {
    let old = SessionEvent::SessionStarted {
        user_id: id(1),
        expires_at: at(END_SECONDS),
        ends_at: None,
        epoch: 0,
        proved_at: None,
        second_factor: false,
        device: None,
    };
    let session: Session = state([old]);
    assert_eq!(session.ends_at, Some(at(END_SECONDS + 60 * 24 * 3600)));
    assert_eq!(session.proved_at, None, "nobody knows when they signed in");
}

#[test]
fn who_proves_again_who_they_are_is_believed_from_then_on() {
    let prove = SessionCommand::Prove { second_factor: true };
    let proved = SessionEvent::SessionProved { proved_at: at(60), second_factor: true };
    given_at::<Session>(60, vec![started()])
        .when(prove.clone())
        .then_expect_events(vec![proved.clone()]);
    let later = SessionEvent::SessionProved { proved_at: at(90), second_factor: false };
    let session: Session = state([started(), proved, later]);
    assert_eq!((session.proved_at, session.second_factor), (Some(at(90)), true));
    given::<Session>(vec![started(), revoked(SessionEnd::SignedOut)])
        .when(prove)
        .then_expect_error(SessionRejection::Revoked);
}

#[test]
fn a_session_is_kept_into_the_next_epoch_only_while_it_lives() {
    let keep = |epoch| SessionCommand::Keep { epoch };
    let kept = SessionEvent::SessionKept { epoch: 2 };
    given::<Session>(vec![started()]).when(keep(2)).then_expect_events(vec![kept.clone()]);
    given::<Session>(vec![started()]).when(keep(1)).then_expect_events(vec![]);
    assert_eq!(state::<Session>([started(), kept]).epoch, 2);
    given_at::<Session>(END_SECONDS, vec![started()])
        .when(keep(2))
        .then_expect_error(SessionRejection::Expired);
    given::<Session>(vec![]).when(keep(2)).then_expect_error(SessionRejection::TokenNotLive);
}

proptest! {
    #[test]
    fn a_token_is_exchanged_only_while_live_or_within_the_tolerance_of_its_first_exchange(
        attempts in prop::collection::vec((1..40_u32, 0..8_i64), 1..60),
    ) {
        let mut session: Session = state([started()]);
        let mut first_spent: BTreeMap<u32, i64> = BTreeMap::new();
        let mut now = 0;
        for (generation, pause) in attempts {
            now += pause;
            let events = session.decide(refresh(generation), &facts_at(now)).unwrap_or_default();
            for event in events {
                if let SessionEvent::SessionRefreshed { presented, .. } = event {
                    prop_assert!(presented <= session.generation, "it was given out");
                    let spent_at = *first_spent.entry(presented).or_insert(now);
                    prop_assert!(now - spent_at <= TOLERANCE_SECONDS);
                }
                session.apply(event);
            }
            prop_assert!(session.live.len() <= MAX_LIVE_TOKENS);
            prop_assert!(session.live.is_sorted());
            prop_assert!(session.spent.len() <= MAX_TOLERATED_TOKENS);
            prop_assert!(session.live.iter().all(|live| !first_spent.contains_key(live)));
        }
    }
}
