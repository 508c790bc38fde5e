//! Small values whose constructor holds the invariant. What comes from outside passes through it, so that a body that
//! breaks one is refused at the edge, with the field's name; see [`crate::FROM_OUTSIDE`].

use crate::text::{Breaks, canonical};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::ops::RangeInclusive;

/// Why a value was refused; the text is meant for the person who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);

// What the schemas say of the texts below, in the part of regular expressions on which ECMAScript and
// Rust agree. That a line is not blank is not said: the two have different ideas of white space.
const TOKEN_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// What every line of text that was ever recorded matches.
pub(crate) const RECORDED_LINE_PATTERN: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
/// What every text of several lines that was ever recorded matches.
pub(crate) const RECORDED_PROSE_PATTERN: &str = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$";

/// Makes a type of text: how it is taken from outside, and how it is read back from where it was recorded.
macro_rules! text_value {
    ($(#[$meta:meta])* $name:ident, $outside:expr, $recorded:expr) => {
        #[derive(
            Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::schemars::JsonSchema,
        )]
        #[serde(transparent)]
        $(#[$meta])*
        pub struct $name(String);

        impl $name {
            /// Takes a text from outside to the type's one form.
            ///
            /// # Errors
            /// [`InvalidValue`](crate::InvalidValue) says what was expected.
            pub fn parse(text: impl AsRef<str>) -> Result<Self, $crate::InvalidValue> {
                let outside: fn(&str) -> Result<String, $crate::InvalidValue> = $outside;
                outside(text.as_ref()).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(format: D) -> Result<Self, D::Error> {
                struct Reader;

                impl<'de> ::serde::de::Visitor<'de> for Reader {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("a string")
                    }

                    fn visit_str<E: ::serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }

                    fn visit_newtype_struct<D: ::serde::Deserializer<'de>>(
                        self,
                        format: D,
                    ) -> Result<$name, D::Error> {
                        let recorded: fn(String) -> Result<String, $crate::InvalidValue> = $recorded;
                        let text = <String as ::serde::Deserialize>::deserialize(format)?;
                        recorded(text).map($name).map_err(::serde::de::Error::custom)
                    }
                }

                format.deserialize_newtype_struct($crate::FROM_OUTSIDE, Reader)
            }
        }
    };
}
pub(crate) use text_value;

macro_rules! plain_debug {
    ($($name:ident),+) => {$(
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
    )+};
}

macro_rules! redacted_debug {
    ($($name:ident),+) => {$(
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}
pub(crate) use redacted_debug;

/// The longest prose, in characters.
const MAX_PROSE_CHARS: usize = 10_000;

const NO_TOKEN: InvalidValue = InvalidValue("expected 1 to 64 letters, digits, '-' or '_'");
const NO_NAME: InvalidValue = InvalidValue("expected 1 to 200 characters");
const NO_LINE: InvalidValue = InvalidValue("expected 1 to 500 characters");
const NO_NOTE: InvalidValue = InvalidValue("expected at most 500 characters");
const NO_PROSE: InvalidValue = InvalidValue("expected at most 10000 characters");
const NO_DIGEST: InvalidValue = InvalidValue("expected 64 hexadecimal digits");
const NO_LOCALE: InvalidValue = InvalidValue("expected \"en\" or \"zh\"");

text_value!(
    /// A stock keeping unit: names one variant of one product, for ever. It keeps its spelling; two that differ in case only
    /// are one, see [`Sku::folded`].
    #[schemars(extend("pattern" = TOKEN_PATTERN))]
    Sku, |text| kept(text.to_owned(), is_token, NO_TOKEN), |text| kept(text, is_token, NO_TOKEN)
);
text_value!(
    /// A category's name in addresses. Its one form is in lower case, also where it was recorded in another.
    #[schemars(extend("pattern" = TOKEN_PATTERN))]
    Slug,
    |text| folded(text.to_owned()),
    folded
);
text_value!(
    /// A role that rules can name. Its one form is in lower case, also where it was recorded in another.
    #[schemars(extend("pattern" = TOKEN_PATTERN))]
    RoleName,
    |text| folded(text.to_owned()),
    folded
);
text_value!(
    /// A person's or a thing's name: 1 to 200 characters in one line. Control characters and invisible ones are not taken.
    #[schemars(extend("minLength" = 1, "maxLength" = 200, "pattern" = RECORDED_LINE_PATTERN))]
    Name, |text| line(text, 1..=200, NO_NAME), |text| kept(text, |text| is_line(text, 200), NO_NAME)
);
text_value!(
    /// A line of an address or the like: 1 to 500 characters. Control characters and invisible ones are not taken.
    #[schemars(extend("minLength" = 1, "maxLength" = 500, "pattern" = RECORDED_LINE_PATTERN))]
    Text, |text| line(text, 1..=500, NO_LINE), |text| kept(text, |text| is_line(text, 500), NO_LINE)
);
text_value!(
    /// Prose for customers: at most 10,000 characters, may be empty or have several lines. Control characters other than
    /// line breaks and tabs, and invisible ones, are not taken.
    #[schemars(extend("maxLength" = 10_000, "pattern" = RECORDED_PROSE_PATTERN))]
    Description, prose, |text| kept(text, is_prose, NO_PROSE)
);
text_value!(
    /// Why somebody did something, in their words: 1 to 500 characters in one line. Control characters and invisible ones
    /// are not taken.
    #[schemars(extend("minLength" = 1, "maxLength" = 500, "pattern" = RECORDED_LINE_PATTERN))]
    Reason, |text| line(text, 1..=500, NO_LINE), |text| kept(text, |text| is_line(text, 500), NO_LINE)
);
text_value!(
    /// A line of text that may be empty, such as what a rule is for: at most 500 characters. Control characters and
    /// invisible ones are not taken.
    #[schemars(extend("maxLength" = 500, "pattern" = RECORDED_LINE_PATTERN))]
    Note, |text| line(text, 0..=500, NO_NOTE), Ok
);
text_value!(
    /// The SHA-256 of an API key's secret, in lower-case hexadecimal.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    ApiKeyHash, |text| kept(text.to_owned(), is_digest, NO_DIGEST), |text| kept(text, is_digest, NO_DIGEST)
);
text_value!(
    /// A BCP 47 tag of a language we speak.
    #[schemars(extend("enum" = ["en", "zh"]))]
    Locale, |text| kept(text.to_owned(), is_locale, NO_LOCALE), |text| kept(text, is_locale, NO_LOCALE)
);

plain_debug!(Sku, Slug, RoleName, Locale, Description, Reason, Note);
redacted_debug!(Name, Text, ApiKeyHash);

impl Sku {
    /// The form in which two SKUs are the same one: in lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether both name the same thing.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Note {
    /// The same as a text; none when it says nothing.
    #[must_use]
    pub fn into_text(self) -> Option<Text> {
        (!self.0.is_empty()).then_some(Text(self.0))
    }
}

impl Default for Note {
    /// Nothing to say.
    fn default() -> Self {
        Self(String::new())
    }
}

impl RoleName {
    /// The role of callers without a token.
    pub const ANONYMOUS: &'static str = "anonymous";
    /// The role of callers with a token, whoever they are.
    pub const AUTHENTICATED: &'static str = "authenticated";

    /// Whether callers have this role by nature, so that nobody can be granted it.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        matches!(self.as_str(), Self::ANONYMOUS | Self::AUTHENTICATED)
    }

    /// A role whose name is written in our own source.
    ///
    /// # Panics
    /// When `name` is not a role name, which the tests over the default rules would show.
    #[must_use]
    pub fn known(name: &'static str) -> Self {
        Self::parse(name).expect("role names in the source are valid")
    }
}

/// A count of pieces in a cart's or an order's line: 1 to 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("minimum" = 1, "maximum" = Quantity::MAX))]
pub struct Quantity(u32);

impl Quantity {
    /// The most that one line holds.
    pub const MAX: u32 = 999;

    /// Accepts 1 to 999.
    ///
    /// # Errors
    /// [`InvalidValue`] for everything else.
    pub fn new(quantity: u32) -> Result<Self, InvalidValue> {
        if (1..=Self::MAX).contains(&quantity) {
            Ok(Self(quantity))
        } else {
            Err(InvalidValue("expected a quantity from 1 to 999"))
        }
    }

    /// The number of pieces.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A text as it is, when `check` takes it.
fn kept(
    text: String,
    check: fn(&str) -> bool,
    expected: InvalidValue,
) -> Result<String, InvalidValue> {
    if check(&text) { Ok(text) } else { Err(expected) }
}

/// A token in lower case.
fn folded(mut text: String) -> Result<String, InvalidValue> {
    text.make_ascii_lowercase();
    kept(text, is_token, NO_TOKEN)
}

/// A line from outside, in its one form; its length is counted in that.
fn line(
    text: &str,
    chars: RangeInclusive<usize>,
    expected: InvalidValue,
) -> Result<String, InvalidValue> {
    let text = canonical(text, *chars.end(), Breaks::None, expected)?;
    if chars.contains(&text.chars().count()) { Ok(text.into_owned()) } else { Err(expected) }
}

fn prose(text: &str) -> Result<String, InvalidValue> {
    let text = canonical(text, MAX_PROSE_CHARS, Breaks::Allowed, NO_PROSE)?;
    kept(text.into_owned(), |text| text.chars().count() <= MAX_PROSE_CHARS, NO_PROSE)
}

/// Safe in a path, a NATS subject and a URL.
fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_locale(text: &str) -> bool {
    matches!(text, "en" | "zh")
}

/// What was asked of a line when it was recorded.
fn is_line(text: &str, max_chars: usize) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= max_chars
        && !text.chars().any(char::is_control)
}

/// What was asked of prose when it was recorded.
fn is_prose(text: &str) -> bool {
    text.chars().count() <= MAX_PROSE_CHARS
        && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}
