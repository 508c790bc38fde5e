//! Given a perfect history / when one effect is lost, doubled, reordered or halved / then the rule
//! that it breaks says so.

use super::super::account::{Moved, Saw};
use super::super::history::{Leg, Line, Seen};
use super::*;

const DEPOSIT: u64 = 1;
const TRANSFER: u64 = 2;
const KEYED: u64 = 3;
const REFUSED: u64 = 4;
const LOOK: u64 = 5;
const UNKNOWN: u64 = 6;

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0, number)
}

fn moves(account: &str, amount: i64) -> Leg {
    Leg::Move { account: account.to_owned(), amount }
}

fn saw(sequence: u64, mark: Option<&str>, balance: i64) -> Saw {
    Saw { sequence, mark: mark.map(str::to_owned), balance }
}

/// An event that is marked by its position.
fn row(position: u64, op: u64, account: &str, amount: i64, saw: Saw) -> Row {
    Row {
        position,
        stream: format!("chaos_account/{account}"),
        sequence: saw.sequence + 1,
        event_id: id(100 + position),
        op: Some(op),
        moved: Some(Moved { mark: format!("m{position}"), amount, saw }),
        recorded_at_us: 0,
    }
}

/// Ten into a; four of them over to b; one into b under a key; nine more out of b refused; a look
/// at b; and one into a whose client never heard.
fn perfect() -> Evidence {
    let journal = vec![
        row(1, DEPOSIT, "a", 10, saw(0, None, 0)),
        row(2, TRANSFER, "a", -4, saw(1, Some("m1"), 10)),
        row(3, TRANSFER, "b", 4, saw(0, None, 0)),
        row(4, KEYED, "b", 1, saw(1, Some("m3"), 4)),
        row(5, UNKNOWN, "a", 1, saw(2, Some("m2"), 6)),
    ];
    let began = |op, key, legs| Line::Began { op, key, legs };
    let done = |op, first, last| Line::Done { op, first, last, replayed: false };
    let history = vec![
        began(DEPOSIT, None, vec![moves("a", 10)]),
        done(DEPOSIT, 1, 1),
        began(TRANSFER, None, vec![moves("a", -4), moves("b", 4)]),
        done(TRANSFER, 2, 3),
        began(KEYED, Some(id(7)), vec![moves("b", 1)]),
        done(KEYED, 4, 4),
        began(KEYED, Some(id(7)), vec![moves("b", 1)]),
        Line::Done { op: KEYED, first: 4, last: 4, replayed: true },
        began(REFUSED, None, vec![moves("b", -9)]),
        Line::Refused { op: REFUSED, saw: saw(2, Some("m4"), 5) },
        began(LOOK, None, vec![moves("b", 0)]),
        Line::Nothing { op: LOOK, saw: saw(2, Some("m4"), 5), replayed: false },
        began(UNKNOWN, None, vec![moves("a", 1)]),
        Line::Unknown { op: UNKNOWN },
    ];
    let seen = |row: &Row| Seen { position: row.position, event_id: row.event_id };
    let message = |row: &Row| Message { sequence: row.position, event_id: row.event_id };
    Evidence {
        tails: vec![journal.iter().map(seen).collect()],
        stream: Some(journal.iter().map(message).collect()),
        outcomes: vec![Outcome { key: id(7), first: 4, last: 4 }],
        histories: vec![history],
        journal,
        found: vec![],
    }
}

/// The rules that a change of the perfect history breaks.
fn broken_by(change: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let mut evidence = perfect();
    change(&mut evidence);
    violations(&evidence).into_iter().map(|violation| violation.rule).collect()
}

#[track_caller]
fn breaks(rule: &str, change: impl FnOnce(&mut Evidence)) {
    let broken = broken_by(change);
    assert!(broken.contains(&rule), "{rule} is not among {broken:?}");
}

/// Takes events away and closes the gap, also in what others saw of it.
fn forget(evidence: &mut Evidence, gone: impl Fn(&Row) -> bool) {
    evidence.journal.retain(|row| !gone(row));
    for (position, row) in (1..).zip(&mut evidence.journal) {
        row.position = position;
    }
    copy_again(evidence);
}

/// Lets tail and stream agree with the journal.
fn copy_again(evidence: &mut Evidence) {
    let rows = &evidence.journal;
    let seen = rows.iter().map(|row| Seen { position: row.position, event_id: row.event_id });
    evidence.tails = vec![seen.collect()];
    let message = |row: &Row| Message { sequence: row.position, event_id: row.event_id };
    evidence.stream = Some(rows.iter().map(message).collect());
}

fn moved(row: &mut Row) -> &mut Moved {
    row.moved.as_mut().expect("all events here are of accounts")
}

#[test]
fn a_perfect_history_is_found_perfect() {
    assert_eq!(violations(&perfect()), []);
    assert_eq!(violations(&Evidence::default()), []);
}

#[test]
fn a_history_that_ends_before_an_unknown_effect_is_perfect_too() {
    assert_eq!(broken_by(|e| forget(e, |row| row.op == Some(UNKNOWN))), Vec::<&str>::new());
}

#[test]
fn a_lost_effect_is_found() {
    breaks("acknowledged is stored", |e| forget(e, |row| row.op == Some(KEYED)));
    breaks("one outcome a key", |e| forget(e, |row| row.op == Some(KEYED)));
    breaks("positions", |e| {
        e.journal.remove(2);
    });
    breaks("positions", |e| {
        e.journal.remove(0);
    });
    breaks("sequences", |e| e.journal[4].sequence = 4);
    breaks("tail", |e| {
        e.tails[0].remove(1);
    });
    breaks("tail", |e| e.tails[0].truncate(4));
    breaks("stream", |e| {
        e.stream.iter_mut().for_each(|stream| {
            stream.remove(1);
        })
    });
    breaks("stream", |e| e.stream.iter_mut().for_each(|stream| stream.truncate(4)));
}

#[test]
fn a_doubled_effect_is_found() {
    let again = |op| {
        move |e: &mut Evidence| {
            e.journal.push(row(6, op, "b", 1, saw(2, Some("m4"), 5)));
            copy_again(e);
        }
    };
    breaks("whole and once", again(KEYED));
    breaks("whole and once", again(UNKNOWN));
    breaks("event ids", |e| e.journal[1].event_id = e.journal[0].event_id);
    breaks("tail", |e| {
        let first = e.tails[0][0];
        e.tails[0].insert(1, first);
    });
    breaks("stream", |e| {
        if let Some(stream) = &mut e.stream {
            stream.push(stream[4]);
        }
    });
    breaks("one outcome a key", |e| e.outcomes.extend_from_within(..));
}

#[test]
fn a_reordered_effect_is_found() {
    breaks("tail", |e| e.tails[0].swap(1, 2));
    breaks("stream", |e| e.stream.iter_mut().for_each(|stream| stream.swap(1, 2)));
    breaks("time", |e| e.journal[0].recorded_at_us = 1);
    breaks("decisions", |e| {
        let (first, second) = (e.journal[1].clone(), e.journal[4].clone());
        e.journal[1] = Row { position: 2, sequence: 2, ..second };
        e.journal[4] = Row { position: 5, sequence: 3, ..first };
    });
    // The journal is consistent, and a client that had its answer was overtaken.
    breaks("real time", |e| e.histories[0][..4].rotate_left(2));
}

#[test]
fn half_an_effect_is_found() {
    breaks("whole and once", |e| forget(e, |row| row.position == 3));
    breaks("whole and once", |e| forget(e, |row| row.position == 2));
    breaks("whole and once", |e| moved(&mut e.journal[2]).amount = 3);
    breaks("whole and once", |e| e.journal[4].stream = "chaos_account/c".to_owned());
    breaks("one outcome a key", |e| e.outcomes.clear());
    breaks("one outcome a key", |e| e.outcomes[0].last = 5);
}

#[test]
fn an_effect_that_was_denied_is_found() {
    breaks("not done is not stored", |e| {
        e.histories[0][13] = Line::Absent { op: UNKNOWN };
    });
    breaks("not done is not stored", |e| e.histories[0].truncate(12));
}

#[test]
fn an_acknowledgement_of_another_place_is_found() {
    breaks("acknowledged is stored", |e| {
        e.histories[0][7] = Line::Done { op: KEYED, first: 5, last: 5, replayed: true };
    });
}

#[test]
fn a_decision_on_a_state_that_never_was_is_found() {
    // The same sequence and the same balance: only the mark is of an event that was refused.
    breaks("decisions", |e| moved(&mut e.journal[3]).saw.mark = Some("m99".to_owned()));
    breaks("decisions", |e| moved(&mut e.journal[3]).saw.balance = 5);
    breaks("decisions", |e| moved(&mut e.journal[0]).amount = -1);
    breaks("decisions", |e| e.journal[0].moved = None);
}

#[test]
fn a_refusal_on_a_state_that_never_was_or_is_over_is_found() {
    let refused =
        |saw| move |e: &mut Evidence| e.histories[0][9] = Line::Refused { op: REFUSED, saw };
    breaks("refusals", refused(saw(2, Some("m99"), 5)));
    breaks("refusals", refused(saw(7, Some("m4"), 5)));
    // It could have been done.
    breaks("refusals", refused(saw(2, Some("m4"), 50)));
    breaks("stale answers", refused(saw(1, Some("m3"), 4)));
    breaks("stale answers", |e| {
        let saw = saw(1, Some("m3"), 4);
        e.histories[0][11] = Line::Nothing { op: LOOK, saw, replayed: false };
    });
}

#[test]
fn a_key_under_which_there_was_nothing_to_do_twice_is_found() {
    let asked = |second: Saw| {
        move |e: &mut Evidence| {
            let (key, legs) = (Some(id(8)), vec![moves("b", 0)]);
            e.histories[0][10] = Line::Began { op: LOOK, key, legs: legs.clone() };
            e.histories[0].push(Line::Began { op: LOOK, key, legs });
            e.histories[0].push(Line::Nothing { op: LOOK, saw: second, replayed: true });
        }
    };
    breaks("one outcome a key", asked(saw(1, Some("m3"), 4)));
    // The first outcome may be older than the question.
    assert_eq!(broken_by(asked(saw(2, Some("m4"), 5))), Vec::<&str>::new());
}

#[test]
fn what_others_found_counts() {
    let found = Violation { rule: "read models", what: "orders".to_owned() };
    breaks("read models", |e| e.found.push(found));
}
