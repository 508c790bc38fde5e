use super::search::{corrections, deletions, edit_distance, index_words, query_words, vocabulary};
use proptest::prelude::*;

#[test]
fn text_is_cut_into_folded_words() {
    assert_eq!(index_words("T-Shirt, blue/XL"), "t shirt tshirt blue xl");
    assert_eq!(index_words("It's  a—test"), "it s its a test");
    assert_eq!(index_words("笔记本 Pro2"), "笔记 记本 pro2");
    assert_eq!(index_words("A笔"), "a 笔");
    assert_eq!(index_words("-- ' !"), "");
    assert_eq!(query_words("T-Shirt XL"), ["t", "shirt", "xl"]);
}

#[test]
fn words_are_bounded_in_length_and_number() {
    assert_eq!(query_words(&"x".repeat(1_000))[0].chars().count(), 32);
    assert_eq!(query_words(&"word ".repeat(1_000)).len(), 8);
    assert_eq!(index_words(&"word ".repeat(10_000)).split(' ').count(), 2_000);
}

#[test]
fn only_words_that_can_be_corrected_are_in_the_vocabulary() {
    assert_eq!(vocabulary(["t shirt xl 笔记", "shirt blue"]), ["blue", "shirt"]);
}

#[test]
fn a_transposition_is_one_edit() {
    assert_eq!(edit_distance("mouse", "mosue"), 1);
    assert_eq!(edit_distance("mouse", "moose"), 1);
    assert_eq!(edit_distance("mouse", "mouses"), 1);
    assert_eq!(edit_distance("mouse", "house"), 1);
    assert_eq!(edit_distance("", "abc"), 3);
    assert_eq!(edit_distance("kitten", "sitting"), 3);
}

#[test]
fn a_known_word_is_not_corrected_and_short_words_have_one_edit() {
    let known = ["mouse", "house", "horse"].map(str::to_owned);
    assert_eq!(corrections("mouse", &known), [""; 0]);
    assert_eq!(corrections("muose", &known), ["mouse"]);
    assert_eq!(corrections("xouse", &known), ["house", "mouse"]);
    assert_eq!(corrections("mx", &["my".to_owned()]), [""; 0]);
}

/// One typing error.
#[derive(Debug, Clone)]
enum Slip {
    Drop(usize),
    Insert(usize, char),
    Replace(usize, char),
    Swap(usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    let place = 0_usize..40;
    let letter = prop::char::range('a', 'd');
    prop_oneof![
        place.clone().prop_map(Slip::Drop),
        (place.clone(), letter.clone()).prop_map(|(at, c)| Slip::Insert(at, c)),
        (place.clone(), letter).prop_map(|(at, c)| Slip::Replace(at, c)),
        place.prop_map(Slip::Swap),
    ]
}

fn mistype(word: &str, slips: &[Slip]) -> String {
    let mut chars: Vec<char> = word.chars().collect();
    for slip in slips {
        let length = chars.len();
        match *slip {
            Slip::Drop(at) if length > 0 => {
                chars.remove(at % length);
            }
            Slip::Insert(at, c) => chars.insert(at % (length + 1), c),
            Slip::Replace(at, c) if length > 0 => chars[at % length] = c,
            Slip::Swap(at) if length > 1 => {
                let at = at % (length - 1);
                chars.swap(at, at + 1);
            }
            Slip::Drop(_) | Slip::Replace(..) | Slip::Swap(_) => {}
        }
    }
    String::from_iter(chars)
}

proptest! {
    /// What the vocabulary's index relies on: nothing within two edits is missed. An alphabet of
    /// four letters makes accidental coincidences likely, so the property is not vacuous.
    #[test]
    fn words_within_two_edits_share_a_deletion(
        word in "[a-d]{3,14}",
        slips in prop::collection::vec(slip(), 0..=2),
    ) {
        let mistyped = mistype(&word, &slips);
        prop_assume!(mistyped.len() > 2);
        prop_assume!(edit_distance(&word, &mistyped) <= 2);
        let deletions_of_word = deletions(&word);
        prop_assert!(
            deletions(&mistyped).iter().any(|deletion| deletions_of_word.contains(deletion)),
            "{word} {mistyped}"
        );
    }

    #[test]
    fn the_distance_is_the_same_in_both_directions(left in "[a-d]{0,8}", right in "[a-d]{0,8}") {
        prop_assert_eq!(edit_distance(&left, &right), edit_distance(&right, &left));
    }
}
