//! The order of names: that of the languages (the root of CLDR, as ICU has it), numbers in them by value.

use icu_collator::options::CollatorOptions;
use icu_collator::preferences::CollationNumericOrdering;
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt::Write;
use std::sync::LazyLock;

/// The most bytes of a key; an index entry has a size limit. The longest Chinese name has six hundred; what is only
/// told apart behind that is sorted by number.
const MAX_BYTES: usize = 1_000;

/// Bytes that sort as the name does which they were made of.
///
/// Only keys that one version of the collator made compare: a test pins some, and says what to do when they
/// change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SortKey(Vec<u8>);

impl SortKey {
    pub(super) fn of(name: &str) -> Self {
        static ROOT: LazyLock<CollatorBorrowed<'static>> = LazyLock::new(|| {
            let mut preferences = CollatorPreferences::default();
            preferences.numeric_ordering = Some(CollationNumericOrdering::True);
            CollatorBorrowed::try_new(preferences, CollatorOptions::default())
                .expect("the root's data are compiled in")
        });
        let mut key = Vec::new();
        let Ok(()) = ROOT.write_sort_key_to(name, &mut key);
        key.truncate(MAX_BYTES);
        Self(key)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// As PostgreSQL writes bytes.
impl Serialize for SortKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 + 2 * self.0.len());
        text.push_str("\\x");
        for byte in &self.0 {
            let _memory_never_fails = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for SortKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("\\x").filter(|digits| digits.len() <= 2 * MAX_BYTES);
        let digits: Option<Vec<u32>> =
            digits.and_then(|digits| digits.chars().map(|c| c.to_digit(16)).collect());
        let bytes = digits.and_then(|digits| {
            let pairs = digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair.get(1)?).ok());
            pairs.collect()
        });
        bytes.map(Self).ok_or_else(|| de::Error::custom("expected bytes in hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut names: Vec<&str>) -> Vec<&str> {
        names.sort_by_key(|name| SortKey::of(name).into_bytes());
        names
    }

    #[test]
    fn names_sort_as_languages_do_and_numbers_by_value() {
        let order = [
            "★ Lamp",
            "Äpfel",
            "apple",
            "Éclair",
            "lamp",
            "Lamp 2",
            "Lamp 10",
            "Öl",
            "ølfad",
            "Zebra",
            "Лампа",
            "ランプ",
            "书包",
        ];
        let mut mixed = order.to_vec();
        mixed.reverse();
        assert_eq!(sorted(mixed), order);
    }

    /// The keys of all rows are of one version of the collator. When this fails, a newer one sorts otherwise: write
    /// its keys down here, and raise the version of the catalogue's projection, so that all rows are built anew.
    #[test]
    fn keys_are_those_that_the_rows_have() {
        for (name, key) in [
            ("Lamp 10", "412b434904100c010a01dc09"),
            ("Äpfel", "2b493533410145960801dc09"),
            ("书包", "fa02cefa0c2001060106"),
        ] {
            let text = serde_json::to_value(SortKey::of(name)).expect("it is text");
            assert_eq!(text, format!("\\x{key}"), "{name}");
        }
    }

    #[test]
    fn a_key_is_bounded_and_read_back() {
        for name in ["Lamp", &"书".repeat(200), &"\u{2f81a}é".repeat(200)] {
            let key = SortKey::of(name);
            assert!(key.0.len() <= MAX_BYTES);
            let text = serde_json::to_string(&key).expect("it is text");
            assert_eq!(serde_json::from_str::<SortKey>(&text).expect("our own"), key);
        }
        for odd in ["", "x", r"\x0", r"\xzz", r"\\x00", &format!(r"\x{}", "00".repeat(1_001))] {
            let text = serde_json::to_string(odd).expect("it is text");
            assert!(serde_json::from_str::<SortKey>(&text).is_err(), "{odd}");
        }
    }
}
