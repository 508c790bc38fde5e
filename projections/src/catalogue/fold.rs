//! What text is compared by: what people type and what a name says, without what they do not type alike. Pure.

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The text without what separates two spellings of one word: accents, case, width, composition.
///
/// `Café`, `CAFE\u{301}` and `ｃａｆｅ` are `cafe`, `Straße` is `strasse`, half-width kana are kana, jamo are
/// syllables. Marks that are part of a script's spelling stay: the vowel signs of Thai and of India's
/// scripts, the voicing of kana.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in bare(text).chars() {
        // Upper case in between is what makes `ß` and `ς` one with `ss` and `σ`: Unicode's full folding.
        let folds = c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
        folds.for_each(|c| match plain(c) {
            Some(plain) => folded.push_str(plain),
            None => folded.push(c),
        });
    }
    // A change of case can bring a mark with it (`İ`).
    ComposingNormalizerBorrowed::new_nfc().normalize(&bare(&folded)).into_owned()
}

/// Whether a character is part of a word: a letter, a digit, or a mark on one.
pub(super) fn is_of_word(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    c.is_alphanumeric() || GeneralCategoryGroup::Mark.contains(category)
}

/// Taken apart to the last mark, in the usual width, without accents and what cannot be seen.
fn bare(text: &str) -> String {
    let (classes, invisible) = (
        CanonicalCombiningClassMapBorrowed::new(),
        CodePointSetData::new::<DefaultIgnorableCodePoint>(),
    );
    let is_accent = |c| is_optional(classes.get_u8(c));
    let apart = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    apart.chars().filter(|c| !is_accent(*c) && !invisible.contains(*c)).collect()
}

/// The classes of marks that a word is understood without: those that lie over a letter (1), the points of Hebrew
/// and Arabic (10 to 36), and those around a letter of any script, which are the accents (200 on). What is
/// between belongs to one script each, and 7 to 9 are nukta, voicing and virama.
fn is_optional(combining_class: u8) -> bool {
    matches!(combining_class, 1 | 10..=36 | 200..)
}

/// Letters that Unicode does not take apart, although keyboards without them are typed on.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'đ' | 'ð' => "d",
        'ħ' => "h",
        'ł' => "l",
        'ø' => "o",
        'œ' => "oe",
        'þ' => "th",
        'ŧ' => "t",
        _ => return None,
    })
}
