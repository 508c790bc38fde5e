use super::*;
use crate::testing::{eur, facts_at, given, id, state, usd};
use crate::{Money, Rejection, RejectionKind};
use cqrs_es::Aggregate;
use proptest::prelude::*;

fn request(amount: Money) -> PaymentCommand {
    PaymentCommand::Request {
        order_id: id(1),
        customer_id: id(2),
        amount,
        method: "card".to_owned(),
    }
}

fn requested() -> PaymentEvent {
    PaymentEvent::PaymentRequested {
        order_id: id(1),
        customer_id: id(2),
        amount: usd(990),
        method: "card".to_owned(),
    }
}

fn captured(amount: Money) -> PaymentEvent {
    PaymentEvent::PaymentCaptured { amount }
}

fn record_captured(amount: Money) -> PaymentCommand {
    PaymentCommand::RecordCaptured { amount }
}

fn orphan() -> PaymentCommand {
    PaymentCommand::Orphan { code: "order_already_paid".to_owned() }
}

fn orphaned() -> PaymentEvent {
    PaymentEvent::PaymentOrphaned { code: "order_already_paid".to_owned() }
}

/// Everything that a provider can say about one payment, lowest rank first, with the event and
/// the status that it leads to.
fn answers() -> Vec<(PaymentCommand, PaymentEvent, PaymentStatus)> {
    let url = "https://bank.example/confirm".to_owned();
    let unavailable = "provider_unavailable".to_owned();
    let funds = "insufficient_funds".to_owned();
    vec![
        (
            PaymentCommand::RecordUnknown,
            PaymentEvent::PaymentOutcomeUnknown {},
            PaymentStatus::Unknown,
        ),
        (
            PaymentCommand::RecordActionRequired { url: url.clone() },
            PaymentEvent::PaymentActionRequired { url },
            PaymentStatus::ActionRequired,
        ),
        (
            PaymentCommand::RecordAuthorized,
            PaymentEvent::PaymentAuthorized {},
            PaymentStatus::Authorized,
        ),
        (
            PaymentCommand::RecordFailed { code: unavailable.clone() },
            PaymentEvent::PaymentFailed { code: unavailable },
            PaymentStatus::Failed,
        ),
        (
            PaymentCommand::RecordDeclined { code: funds.clone() },
            PaymentEvent::PaymentDeclined { code: funds },
            PaymentStatus::Declined,
        ),
        (PaymentCommand::RecordVoided, PaymentEvent::PaymentVoided {}, PaymentStatus::Voided),
        (record_captured(usd(990)), captured(usd(990)), PaymentStatus::Captured),
    ]
}

#[test]
fn a_payment_is_requested_once() {
    given::<Payment>(vec![]).when(request(usd(990))).then_expect_events(vec![requested()]);
    given::<Payment>(vec![requested()]).when(request(usd(990))).then_expect_events(vec![]);
    given::<Payment>(vec![requested()])
        .when(request(usd(991)))
        .then_expect_error(PaymentRejection::AlreadyExists);
}

#[test]
fn a_payment_that_was_never_requested_is_absent() {
    for command in answers().into_iter().map(|(command, _, _)| command).chain([orphan()]) {
        given::<Payment>(vec![]).when(command).then_expect_error(PaymentRejection::NotFound);
    }
    assert_eq!(PaymentRejection::NotFound.kind(), RejectionKind::Absent);
}

#[test]
fn an_answer_that_ranks_higher_is_recorded_and_every_other_changes_nothing() {
    for (known_rank, (_, known, _)) in answers().into_iter().enumerate() {
        for (rank, (command, event, status)) in answers().into_iter().enumerate() {
            let before = vec![requested(), known.clone()];
            if rank > known_rank {
                let after: Payment = state([before.clone(), vec![event.clone()]].concat());
                assert_eq!(after.status, status);
                given::<Payment>(before).when(command).then_expect_events(vec![event]);
            } else {
                given::<Payment>(before).when(command).then_expect_events(vec![]);
            }
        }
    }
}

#[test]
fn every_answer_is_recorded_on_a_pending_payment() {
    for (command, event, _) in answers() {
        given::<Payment>(vec![requested()]).when(command).then_expect_events(vec![event]);
    }
}

#[test]
fn money_that_moved_is_the_truth_even_after_a_decline() {
    let declined = PaymentEvent::PaymentDeclined { code: "insufficient_funds".to_owned() };
    let payment: Payment = state([requested(), declined, captured(usd(990))]);
    assert_eq!(payment.status, PaymentStatus::Captured);
    assert_eq!(payment.failure, None);
    assert_eq!(payment.captured, Some(usd(990)));
}

#[test]
fn no_more_than_requested_is_captured() {
    for amount in [usd(991), eur(990), eur(1)] {
        given::<Payment>(vec![requested()]).when(record_captured(amount)).then_expect_error(
            PaymentRejection::CapturedMoreThanRequested { requested: usd(990), captured: amount },
        );
    }
    given::<Payment>(vec![requested()])
        .when(record_captured(usd(1)))
        .then_expect_events(vec![captured(usd(1))]);
}

#[test]
fn a_capture_is_final() {
    given::<Payment>(vec![requested(), captured(usd(900))])
        .when(record_captured(usd(990)))
        .then_expect_error(PaymentRejection::CapturedOtherAmount { captured: usd(900) });
}

#[test]
fn captured_money_without_an_order_is_orphaned_once() {
    let events = vec![requested(), captured(usd(990))];
    given::<Payment>(events.clone()).when(orphan()).then_expect_events(vec![orphaned()]);
    let events = [events, vec![orphaned()]].concat();
    given::<Payment>(events.clone()).when(orphan()).then_expect_events(vec![]);
    let payment: Payment = state(events);
    assert!(payment.orphaned);
    assert_eq!(payment.status, PaymentStatus::Captured);
}

#[test]
fn only_captured_money_is_orphaned() {
    given::<Payment>(vec![requested(), PaymentEvent::PaymentAuthorized {}])
        .when(orphan())
        .then_expect_error(PaymentRejection::NotCaptured);
}

#[test]
fn the_order_of_the_statuses_is_that_of_the_module() {
    let ranks: Vec<_> = answers().into_iter().map(|(_, _, status)| status).collect();
    assert!(ranks.is_sorted());
    assert!(PaymentStatus::Pending < PaymentStatus::Unknown);
    let settled: Vec<_> = ranks.into_iter().filter(|status| status.is_settled()).collect();
    assert_eq!(
        settled,
        [
            PaymentStatus::Failed,
            PaymentStatus::Declined,
            PaymentStatus::Voided,
            PaymentStatus::Captured
        ]
    );
    assert!(!PaymentStatus::Pending.is_settled());
}

#[test]
fn a_status_reads_the_same_in_json() {
    let statuses = answers().into_iter().map(|(_, _, status)| status);
    for status in statuses.chain([PaymentStatus::Pending]) {
        assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
    }
}

fn after(answers: impl IntoIterator<Item = PaymentCommand>) -> Payment {
    let mut payment: Payment = state([requested()]);
    for answer in answers {
        let events = payment.decide(answer, &facts_at(0)).expect("answers are never refused");
        events.into_iter().for_each(|event| payment.apply(event));
    }
    payment
}

proptest! {
    #[test]
    fn what_is_believed_does_not_depend_on_order_or_repetition(
        (once, shuffled) in prop::sample::subsequence(answers(), 0..=7).prop_flat_map(|said| {
            let repeated: Vec<_> = (0..3).flat_map(|_| said.clone()).collect();
            (Just(said), Just(repeated).prop_shuffle())
        }),
        keep in 0..21_usize,
    ) {
        // Every answer arrives at least once, some again, in any order.
        let commands = |said: Vec<(PaymentCommand, PaymentEvent, PaymentStatus)>| {
            said.into_iter().map(|(command, _, _)| command).collect::<Vec<_>>()
        };
        let expected = after(commands(once.clone()));
        let tail = shuffled.iter().skip(keep).cloned().collect();
        let mixed = [commands(shuffled.clone()), commands(tail)].concat();
        prop_assert_eq!(&after(mixed), &expected);
        // And a shuffle without repetition.
        let mut first_seen = Vec::new();
        for command in commands(shuffled) {
            if !first_seen.contains(&command) {
                first_seen.push(command);
            }
        }
        prop_assert_eq!(&after(first_seen), &expected);
        let highest = once.last().map_or(PaymentStatus::Pending, |(_, _, status)| *status);
        prop_assert_eq!(expected.status, highest);
    }
}
