use super::fold::fold;
use super::search::{index_words, query_terms, vocabulary};
use super::typos::{beginning_distance, corrections, deletions, edit_distance, lookups};
use proptest::prelude::*;

/// The words of a query, in order, behind each term of several what they make as one.
fn sought(text: &str) -> Vec<String> {
    let terms = query_terms(text).into_iter();
    terms.flat_map(|term| term.words.into_iter().chain(term.joined)).collect()
}

#[test]
fn what_is_typed_and_what_is_written_fold_to_one() {
    for (folded, spellings) in [
        ("cafe", vec!["Café", "cafe", "CAFE\u{301}", "ｃａｆé", "ca\u{ad}fe\u{200d}"]),
        ("strasse", vec!["Straße", "STRASSE", "STRAẞE"]),
        ("ol", vec!["Öl", "ÖL", "o\u{308}l", "Øl"]),
        ("istanbul", vec!["İstanbul", "ISTANBUL", "ıstanbul"]),
        ("οδυσσευσ", vec!["Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ"]),
        ("lodz", vec!["Łódź", "ŁÓDŹ"]),
        ("バッグ", vec!["ﾊﾞｯｸﾞ", "ハ\u{3099}ック\u{3099}"]),
        ("표", vec!["\u{1111}\u{116d}"]),
        ("שלום", vec!["שָׁלוֹם"]),
    ] {
        for spelling in spellings {
            assert_eq!(fold(spelling), folded, "{spelling}");
        }
    }
    // Marks that make another letter of one stay.
    assert_ne!(fold("ハ"), fold("バ"));
    assert_ne!(fold("कि"), fold("कु"));
}

#[test]
fn text_is_cut_into_folded_words() {
    assert_eq!(index_words("T-Shirt, blue/XL"), "t shirt tshirt blue xl");
    assert_eq!(index_words("It's  a—test"), "it s its a test");
    assert_eq!(index_words("MUG_Blue-2"), "mug blue 2 mugblue2");
    assert_eq!(index_words("笔记本 Pro2"), "笔 记 本 笔记 记本 pro2");
    assert_eq!(index_words("A笔"), "a 笔");
    assert_eq!(index_words("हिन्दी"), "हिन्दी");
    assert_eq!(index_words("-- ' !"), "");
    assert_eq!(sought("T-Shirt XL"), ["t", "shirt", "tshirt", "xl"]);
    assert_eq!(sought("笔记本 表"), ["笔记", "记本", "表"]);
}

#[test]
fn words_are_bounded_in_length_and_number() {
    assert_eq!(sought(&"x".repeat(1_000))[0].chars().count(), 64);
    assert_eq!(sought(&"word ".repeat(1_000)).len(), 8);
    assert_eq!(sought(&"wo-rd".repeat(1_000)).len(), 8);
    assert_eq!(index_words(&"word ".repeat(10_000)).split(' ').count(), 4_000);
}

#[test]
fn what_is_no_word_does_not_count() {
    assert_eq!(sought("--------carry"), ["carry"]);
    assert_eq!(sought("★ ★ ★ ★ ★ ★ ★ ★ ★ Lamp"), ["lamp"]);
    assert_eq!(sought("red         lamp"), ["red", "lamp"]);
    assert_eq!(sought("- _ ' ! ★"), [""; 0]);
}

#[test]
fn only_words_that_can_be_corrected_are_in_the_vocabulary() {
    assert_eq!(vocabulary(["t shirt xl 笔记 pro2 1984", "shirt blue"]), ["blue", "shirt"]);
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
    assert_eq!(corrections("mouse", &known, false), [""; 0]);
    assert_eq!(corrections("muose", &known, false), ["mouse"]);
    assert_eq!(corrections("xouse", &known, false), ["house", "mouse"]);
    assert_eq!(corrections("mx", &["my".to_owned()], false), [""; 0]);
    assert_eq!(corrections("a4001", &["a4002".to_owned()], false), [""; 0]);
}

#[test]
fn the_beginning_of_a_word_that_is_being_typed_is_corrected() {
    assert_eq!(beginning_distance("motebo", "notebook"), 1);
    assert_eq!(beginning_distance("ntoe", "notebook"), 1);
    assert_eq!(beginning_distance("notebook", "note"), 4);
    let known = ["notebook", "noise", "mascot"].map(str::to_owned);
    assert_eq!(corrections("motebo", &known, true), ["notebook"]);
    assert_eq!(corrections("motebo", &known, false), [""; 0]);
    assert_eq!(corrections("ntoe", &known, true), ["notebook"]);
    // What begins so is not corrected to what begins nearly so.
    assert_eq!(corrections("note", &known, true), [""; 0]);
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
    /// What the vocabulary's index relies on: nothing near enough is missed, neither a whole word nor one of which only
    /// the beginning is typed. An alphabet of four letters makes accidental coincidences likely, so the property is not
    /// vacuous.
    #[test]
    fn what_is_near_enough_to_be_meant_is_looked_up(
        word in "[a-d]{3,14}",
        beginning in 3_usize..14,
        slips in prop::collection::vec(slip(), 0..=2),
    ) {
        let typed: String = word.chars().take(beginning).collect();
        let mistyped = mistype(&typed, &slips);
        let near = corrections(&mistyped, std::slice::from_ref(&word), true);
        let deletions = deletions(&word);
        let is_found = lookups(&mistyped).iter().any(|lookup| deletions.contains(lookup));
        prop_assert!(near.is_empty() || is_found, "{word} {mistyped}");
        if edit_distance(&typed, &mistyped) <= usize::from(mistyped.len() > 2)
            && !word.starts_with(&mistyped)
            && mistyped.len() > 2
        {
            prop_assert_eq!(near, [word]);
        }
    }

    #[test]
    fn a_word_has_few_deletions(word in "[a-z]{3,64}") {
        prop_assert!(deletions(&word).len() <= 100);
    }

    #[test]
    fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded);
    }

    #[test]
    fn the_distance_is_the_same_in_both_directions(left in "[a-d]{0,8}", right in "[a-d]{0,8}") {
        prop_assert_eq!(edit_distance(&left, &right), edit_distance(&right, &left));
    }
}
