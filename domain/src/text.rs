//! The one form in which text from outside is kept.
//!
//! **Guarantee.** Text that came in through here is in Unicode's composed form (NFC), neither begins nor ends with white
//! space, and holds nothing that nobody sees: what looks the same to people is the same to us, and no name hides behind
//! another. Applied to its own result it changes nothing.
//!
//! What was recorded before there was such a form is read as it was recorded. Which of the two a type is asked for, its
//! format tells: see [`FROM_OUTSIDE`] and `docs/decisions/0032-one-form-for-text-at-the-edge.md`.

use crate::values::{InvalidValue, RECORDED_LINE_PATTERN, RECORDED_PROSE_PATTERN};
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    BidiControl, CanonicalCombiningClass, DefaultIgnorableCodePoint, ExtendedPictographic,
    JoiningType, UnifiedIdeograph, VariationSelector,
};
use icu_properties::{CodePointMapData, CodePointSetData};
use std::borrow::Cow;
use std::sync::LazyLock;

/// The name under which types of text ask a format for their value. A format that reads what somebody sent answers with
/// the bare text, and the type takes it to its one form or refuses it; every other format answers with a newtype, and
/// the type reads what was recorded as it is.
pub const FROM_OUTSIDE: &str = "text from outside";

/// The most bytes that are looked at for each character that is allowed. What is composed was at most four characters of
/// four bytes before; whatever is longer would be refused anyway, and costs no work.
const RAW_BYTES_A_CHAR: usize = 16;

/// The joiners: they are seen in what they do to their neighbours, or not at all.
const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';

/// Turns what stands before it into a key, as in `1️⃣`.
const KEYCAP: char = '\u{20e3}';

pub(crate) const UNSEEN: InvalidValue = InvalidValue(
    "text must not contain control characters, nor characters that are invisible or change its direction",
);

/// What may stand inside a text beside what people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// Nothing: it is one line.
    None,
    /// Line breaks and tabs.
    Allowed,
}

/// Takes a text of at most so many characters to its one form. What is left may be empty, and is not counted.
///
/// # Errors
/// `too_long` for what cannot be of `max_chars` characters, [`UNSEEN`] for what holds something that nobody sees.
pub(crate) fn canonical(
    text: &str,
    max_chars: usize,
    breaks: Breaks,
    too_long: InvalidValue,
) -> Result<Cow<'_, str>, InvalidValue> {
    let text = text.trim();
    if text.len() > max_chars.saturating_mul(RAW_BYTES_A_CHAR) {
        return Err(too_long);
    }
    let text = composed(text);
    if is_seen(&text, breaks) { Ok(text) } else { Err(UNSEEN) }
}

/// In normalization form C. What is so already is not copied.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
    NFC.normalize(text)
}

/// In normalization form KC, as NIST SP 800-63B says of passwords: composed, and without differences of width, of
/// ligatures and the like, which keyboards and systems make on their own. Nothing is cut and nothing refused: a blank is
/// a character of a password.
#[must_use]
pub fn compatible(text: &str) -> Cow<'_, str> {
    const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();
    NFKC.normalize(text)
}

/// What a schema can say of text from outside, where it says of what was recorded that it matches `recorded`; none for
/// patterns of anything else. It leaves out what depends on the characters around, and those beyond the first plane,
/// for which regular expressions have no notation in common.
#[must_use]
pub fn pattern_from_outside(recorded: &str) -> Option<&'static str> {
    // Made once, from some sixty thousand look-ups.
    static LINE: LazyLock<String> = LazyLock::new(|| pattern(Breaks::None));
    static PROSE: LazyLock<String> = LazyLock::new(|| pattern(Breaks::Allowed));
    match recorded {
        RECORDED_LINE_PATTERN => Some(&LINE),
        RECORDED_PROSE_PATTERN => Some(&PROSE),
        _ => None,
    }
}

fn pattern(breaks: Breaks) -> String {
    let selectors = CodePointSetData::new::<VariationSelector>();
    let refused = |c: char| match c {
        '\n' | '\r' | '\t' => breaks == Breaks::None,
        NON_JOINER | JOINER => false,
        _ => is_unseen(c) && !selectors.contains(c),
    };
    let mut class = String::new();
    let mut plane = ('\0'..='\u{ffff}').peekable();
    while let Some(first) = plane.find(|c| refused(*c)) {
        let mut last = first;
        while let Some(next) = plane.next_if(|c| refused(*c)) {
            last = next;
        }
        class.push_str(&format!("\\u{:04x}", u32::from(first)));
        if last > first {
            class.push_str(&format!("-\\u{:04x}", u32::from(last)));
        }
    }
    format!("^[^{class}]*$")
}

/// Whether everything in it is seen, or does something to what is seen next to it.
fn is_seen(text: &str, breaks: Breaks) -> bool {
    let mut before = None;
    let mut rest = text.chars();
    while let Some(this) = rest.next() {
        if !this.is_ascii_graphic() && this != ' ' {
            let allowed = match this {
                '\n' | '\r' | '\t' => breaks == Breaks::Allowed,
                NON_JOINER | JOINER => {
                    joins(&text[..text.len() - rest.as_str().len()], rest.as_str())
                }
                _ if CodePointSetData::new::<VariationSelector>().contains(this) => {
                    before.is_some_and(|before| varies(before, this, rest.as_str()))
                }
                _ => !is_unseen(this),
            };
            if !allowed {
                return false;
            }
        }
        before = Some(this);
    }
    true
}

/// What is never seen, nor does anything that is: control characters, those that change the direction of what stands
/// around them, what Unicode calls ignorable by default (zero-width characters, soft hyphens, fillers, tags), separators
/// of lines and paragraphs that are none of ours, marks of annotations, and a Braille cell without dots.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffc}' | '\u{2800}')
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<BidiControl>().contains(c)
}

/// Whether the joiner at the end of `upto` does something between what stands before and behind it.
///
/// Persian parts letters with the one that would join, Indic scripts choose forms with both, next to a virama
/// (RFC 5892, appendix A), and several emoji are one by the other.
fn joins(upto: &str, behind: &str) -> bool {
    let is_virama = |c: char| {
        CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
    };
    let mut before = upto.chars().rev();
    let joiner = before.next();
    let (Some(previous), Some(next)) = (before.clone().next(), behind.chars().next()) else {
        return false;
    };
    if is_virama(previous) || is_virama(next) {
        return true;
    }
    if joiner == Some(JOINER) {
        let pictures = CodePointSetData::new::<ExtendedPictographic>();
        // Behind a picture may stand how it is shown, or the colour of its skin.
        let modifies = |c: &char| matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
        return pictures.contains(next)
            && before.find(|c| !modifies(c)).is_some_and(|c| pictures.contains(c));
    }
    let joining = CodePointMapData::<JoiningType>::new();
    let marks = |c: &char| joining.get(*c) != JoiningType::Transparent;
    let left = before.find(marks).map(|c| joining.get(c));
    let right = behind.chars().find(marks).map(|c| joining.get(c));
    matches!(left, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(right, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// Whether a character has a variant that this selector, behind it, chooses: emoji their colours, ideographs the form
/// that is somebody's name, Mongolian letters theirs.
fn varies(c: char, selector: char, behind: &str) -> bool {
    match selector {
        '\u{fe0e}' | '\u{fe0f}' => {
            let is_key = matches!(c, '0'..='9' | '#' | '*') && behind.starts_with(KEYCAP);
            is_key || CodePointSetData::new::<ExtendedPictographic>().contains(c)
        }
        '\u{180b}'..='\u{180f}' => matches!(c, '\u{1820}'..='\u{18aa}'),
        _ => CodePointSetData::new::<UnifiedIdeograph>().contains(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOO_LONG: InvalidValue = InvalidValue("too long");

    fn line(text: &str) -> Result<String, InvalidValue> {
        canonical(text, 200, Breaks::None, TOO_LONG).map(Cow::into_owned)
    }

    #[test]
    fn text_is_composed_and_its_ends_are_cut() {
        for (typed, kept) in [
            ("Cafe\u{301}", "Café"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            ("\u{a0}\u{3000} Lamp\r\n\u{2029}\t", "Lamp"),
            ("\u{2003}\u{2009}", ""),
            ("two  words", "two  words"),
        ] {
            assert_eq!(line(typed).as_deref(), Ok(kept), "{typed:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_refused() {
        for c in [
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            assert_eq!(line(&format!("a{c}b")), Err(UNSEEN), "{c:?}");
            assert_eq!(line(&format!("茶{c}{c}茶")), Err(UNSEEN), "{c:?}");
        }
        assert_eq!(line("a\nb"), Err(UNSEEN));
        assert!(canonical("a\r\n\tb", 9, Breaks::Allowed, TOO_LONG).is_ok());
    }

    #[test]
    fn joiners_and_selectors_stay_where_they_are_seen() {
        for text in [
            "می‌خواهم",
            "क्‍ष",
            "ශ්‍රී",
            "র‍্যাব",
            "👨‍👩‍👧",
            "🏳️‍🌈",
            "👩🏽‍🚀",
            "❤️",
            "1️⃣",
            "葛\u{e0100}飾",
            "ᠠ\u{180b}",
        ] {
            assert_eq!(line(text).as_deref(), Ok(text), "{text:?}");
        }
        for text in [
            "مي\u{200c}",
            "\u{200d}👩",
            "👩\u{200d}a",
            "1\u{fe0f}",
            "क\u{200d}",
            "a\u{e0100}",
            "م\u{200c}\u{200c}م",
        ] {
            assert_eq!(line(text), Err(UNSEEN), "{text:?}");
        }
    }

    #[test]
    fn what_is_far_too_long_is_not_looked_at() {
        assert_eq!(line(&"\u{200b}".repeat(200 * 16)), Err(TOO_LONG));
        assert!(line(&" ".repeat(100_000)).is_ok(), "what is cut does not count");
    }

    #[test]
    fn a_password_is_the_same_whichever_keyboard_it_came_from() {
        for (typed, other) in [
            ("passwo\u{308}rt", "passwört"),
            ("Ⅳ", "IV"),
            ("ｐａｓｓ", "pass"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
        ] {
            assert_eq!(compatible(typed), compatible(other));
        }
        assert_eq!(compatible(" a\u{200b} "), " a\u{200b} ");
    }

    #[test]
    fn the_schemas_pattern_takes_whatever_is_kept() {
        let line_pattern = pattern_from_outside(RECORDED_LINE_PATTERN).expect("one of ours");
        assert!(
            line_pattern.starts_with(r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c"),
            "{line_pattern}"
        );
        let line_pattern = regex::Regex::new(line_pattern).expect("it is one");
        for c in '\0'..='\u{ffff}' {
            let says = line_pattern.is_match(c.encode_utf8(&mut [0; 4]));
            let is_kept = line(&format!("a{c}b")).is_ok();
            let depends = matches!(c, NON_JOINER | JOINER)
                || CodePointSetData::new::<VariationSelector>().contains(c);
            assert!(says == is_kept || (depends && says), "{c:?}");
        }
        assert_eq!(pattern_from_outside("^a$"), None);
    }

    proptest! {
        #[test]
        fn the_form_is_one(text in any_text()) {
            let Ok(kept) = canonical(&text, 200, Breaks::Allowed, TOO_LONG) else { return Ok(()) };
            prop_assert_eq!(canonical(&kept, 200, Breaks::Allowed, TOO_LONG), Ok(kept.clone()));
            prop_assert_eq!(&composed(&kept), &kept);
            prop_assert_eq!(kept.trim(), &*kept);
            for c in kept.chars().filter(|c| is_unseen(*c)) {
                let selects = CodePointSetData::new::<VariationSelector>().contains(c);
                prop_assert!(selects || matches!(c, NON_JOINER | JOINER | '\n' | '\r' | '\t'), "{:?}", c);
            }
        }
    }

    /// Of all characters, and often of those about which there is something to decide.
    fn any_text() -> impl Strategy<Value = String> {
        let telling = prop::sample::select(vec![
            'a',
            'e',
            '\u{301}',
            '\u{327}',
            'é',
            '\u{1112}',
            '\u{1161}',
            '\u{11ab}',
            ' ',
            '\u{a0}',
            '\n',
            '\u{200c}',
            '\u{200d}',
            '\u{200b}',
            '\u{202e}',
            '\u{fe0f}',
            '👩',
            '❤',
            'م',
            'ی',
            'क',
            '\u{94d}',
            '葛',
            '\u{e0100}',
            '\u{340}',
            '\u{f900}',
            'ﬁ',
            '\u{2126}',
            '\u{1f3fd}',
            '1',
            '\u{20e3}',
        ]);
        prop::collection::vec(prop_oneof![4 => telling, 1 => any::<char>()], 0..12)
            .prop_map(|chars| chars.into_iter().collect())
    }
}
