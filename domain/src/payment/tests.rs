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
    PaymentCommand::RecordCaptured { amount, refused: None }
}

fn refused(amount: Money) -> PaymentCommand {
    PaymentCommand::RecordCaptured { amount, refused: Some("order_already_paid".to_owned()) }
}

fn orphaned(code: &str, amount: Money) -> PaymentEvent {
    PaymentEvent::PaymentOrphaned { code: code.to_owned(), amount: Some(amount) }
}

fn unreadable() -> PaymentCommand {
    PaymentCommand::RecordCaptureUnreadable { said: "-1 USD".to_owned() }
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
    for command in answers().into_iter().map(|(command, _, _)| command).chain([unreadable()]) {
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
            } else if status == PaymentStatus::Captured {
                let rejection = PaymentRejection::AlreadyCaptured;
                given::<Payment>(before).when(command).then_expect_error(rejection);
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
    assert!(payment.pays());
}

#[test]
fn a_capture_is_recorded_as_the_provider_says_it_and_what_the_order_does_not_take_is_orphaned() {
    for (said, rest) in [
        (usd(990), None),
        (usd(991), Some(orphaned(CAPTURED_MORE, usd(1)))),
        (usd(989), Some(orphaned(CAPTURED_LESS, usd(989)))),
        (eur(990), Some(orphaned(CAPTURED_OTHER_CURRENCY, eur(990)))),
        // Of nothing, nothing has to go back.
        (usd(0), None),
        (eur(0), None),
    ] {
        let events: Vec<_> = [captured(said)].into_iter().chain(rest.clone()).collect();
        given::<Payment>(vec![requested()])
            .when(record_captured(said))
            .then_expect_events(events.clone());
        let payment: Payment = state([vec![requested()], events].concat());
        assert_eq!(payment.status, PaymentStatus::Captured, "{said}");
        assert_eq!(payment.pays(), [usd(990), usd(991)].contains(&said), "{said}");
        assert_eq!(payment.is_orphaned(), rest.is_some(), "{said}");
        let outcome = if payment.pays() { PaymentStatus::Captured } else { PaymentStatus::Failed };
        assert_eq!(payment.outcome(), outcome, "{said}");
        assert_eq!(payment.outcome_code().is_some(), !payment.pays(), "{said}");
    }
}

#[test]
fn money_that_the_order_refuses_is_orphaned_whole() {
    for said in [usd(990), usd(1500)] {
        let events = vec![captured(said), orphaned("order_already_paid", said)];
        given::<Payment>(vec![requested()]).when(refused(said)).then_expect_events(events.clone());
        let payment: Payment = state([vec![requested()], events].concat());
        assert!(!payment.pays());
        assert_eq!(payment.outcome_code(), Some("order_already_paid"));
    }
    // That it is too little says more.
    given::<Payment>(vec![requested()])
        .when(refused(usd(1)))
        .then_expect_events(vec![captured(usd(1)), orphaned(CAPTURED_LESS, usd(1))]);
}

#[test]
fn a_capture_grows_and_never_shrinks() {
    let events = vec![requested(), captured(usd(500)), orphaned(CAPTURED_LESS, usd(500))];
    for known in [usd(500), usd(499), usd(0)] {
        given::<Payment>(events.clone())
            .when(record_captured(known))
            .then_expect_error(PaymentRejection::AlreadyCaptured);
    }
    given::<Payment>(events.clone())
        .when(record_captured(usd(990)))
        .then_expect_events(vec![captured(usd(990))]);
    let grown: Payment = state([events, vec![captured(usd(990))]].concat());
    assert!(grown.pays() && !grown.is_orphaned());
}

#[test]
fn money_in_another_currency_stands_beside_what_was_captured() {
    let events = vec![requested(), captured(usd(990))];
    let rest = vec![captured(eur(5)), orphaned(CAPTURED_OTHER_CURRENCY, eur(5))];
    given::<Payment>(events.clone()).when(record_captured(eur(5))).then_expect_events(rest.clone());
    let payment: Payment = state([events, rest].concat());
    assert!(payment.pays() && payment.is_orphaned());
    assert_eq!(payment.captured.orphaned().collect::<Vec<_>>(), [eur(5)]);
}

#[test]
fn a_capture_without_an_amount_is_recorded_in_the_providers_words_once() {
    let said = PaymentEvent::PaymentCaptureUnreadable { said: "-1 USD".to_owned() };
    for before in [vec![requested()], vec![requested(), captured(usd(990))]] {
        given::<Payment>(before.clone()).when(unreadable()).then_expect_events(vec![said.clone()]);
        let events = [before, vec![said.clone()]].concat();
        given::<Payment>(events.clone()).when(unreadable()).then_expect_events(vec![]);
        assert!(state::<Payment>(events).is_orphaned());
    }
    let payment: Payment = state([requested(), said]);
    assert_eq!(payment.outcome(), PaymentStatus::Failed);
    assert_eq!(payment.outcome_code(), Some(CAPTURE_UNREADABLE));
}

#[test]
fn what_was_orphaned_before_amounts_were_written_is_all_that_was_captured() {
    let whole =
        PaymentEvent::PaymentOrphaned { code: "captured_other_amount".to_owned(), amount: None };
    let payment: Payment = state([requested(), captured(usd(500)), whole]);
    assert_eq!(payment.captured.orphaned().collect::<Vec<_>>(), [usd(500)]);
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

/// What the provider says, in this order, of an order that takes the money.
fn after(answers: impl IntoIterator<Item = PaymentCommand>) -> Payment {
    let mut payment: Payment = state([requested()]);
    for answer in answers {
        match payment.decide(answer, &facts_at(0)) {
            Ok(events) => events.into_iter().for_each(|event| payment.apply(event)),
            Err(rejection) => assert_eq!(rejection, PaymentRejection::AlreadyCaptured),
        }
    }
    payment
}

/// All that can be said without money, and captures of any amount in two currencies.
fn said() -> impl Strategy<Value = Vec<PaymentCommand>> {
    let plain = answers().into_iter().map(|(command, _, _)| command).take(6).collect::<Vec<_>>();
    let plain = prop::sample::subsequence([plain, vec![unreadable()]].concat(), 0..=7);
    let amount = prop_oneof![Just(0), Just(989), Just(990), Just(991), 0..2_000_i64];
    let captures = prop::collection::vec((amount, any::<bool>()), 0..4);
    (plain, captures).prop_map(|(mut said, captures)| {
        let money = |(minor, euros)| if euros { eur(minor) } else { usd(minor) };
        said.extend(captures.into_iter().map(money).map(record_captured));
        said
    })
}

proptest! {
    #[test]
    fn what_is_believed_does_not_depend_on_order_or_repetition(
        (once, shuffled) in said().prop_flat_map(|said| {
            let repeated: Vec<_> = (0..3).flat_map(|_| said.clone()).collect();
            (Just(said), Just(repeated).prop_shuffle())
        }),
        keep in 0..33_usize,
    ) {
        // Every answer arrives at least once, some again, in any order.
        let expected = after(once);
        let tail: Vec<_> = shuffled.iter().skip(keep).cloned().collect();
        prop_assert_eq!(&after([shuffled.clone(), tail].concat()), &expected);
        // And a shuffle without repetition.
        let mut first_seen = Vec::new();
        for command in shuffled {
            if !first_seen.contains(&command) {
                first_seen.push(command);
            }
        }
        prop_assert_eq!(&after(first_seen), &expected);
    }

    #[test]
    fn what_is_captured_is_what_was_said_and_is_kept_or_orphaned_to_the_cent(
        said in said().prop_shuffle(),
        refuse in any::<bool>(),
    ) {
        let said: Vec<_> = said
            .into_iter()
            .map(|command| match command {
                PaymentCommand::RecordCaptured { amount, .. } if refuse => refused(amount),
                other => other,
            })
            .collect();
        let payment = after(said.clone());
        let largest = |of: fn(i64) -> Money| {
            let sums = said.iter().filter_map(|command| match command {
                PaymentCommand::RecordCaptured { amount, .. } => Some(*amount),
                _ => None,
            });
            let sums = sums.filter(|sum| sum.currency() == of(0).currency());
            sums.max_by_key(Money::amount_minor)
        };
        for of in [usd as fn(i64) -> Money, eur] {
            let known = payment.captured.iter().find(|known| known.amount.currency() == of(0).currency());
            prop_assert_eq!(known.map(|known| known.amount), largest(of));
            let Some(known) = known else { continue };
            let kept = known.amount.minus(known.orphaned).expect("never more than was captured");
            // The order gets what it costs or nothing, so it is paid in one piece.
            let takes = !refuse && covers(known.amount, usd(990));
            prop_assert_eq!(kept, if takes { usd(990) } else { of(0) });
            prop_assert_eq!(known.code.is_some(), known.orphaned != of(0));
        }
        prop_assert_eq!(payment.pays(), !refuse && largest(usd).is_some_and(|sum| covers(sum, usd(990))));
    }
}
