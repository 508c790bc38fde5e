//! Small values whose constructor holds the invariant. Each deserializes through it, so that a
//! body that breaks one is refused at the edge, with the field's name.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// Why a value was refused; the text is meant for the person who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);

// What the schemas say of the texts below, in the part of regular expressions on which ECMAScript and
// Rust agree. That a line is not blank is not said: the two have different ideas of white space.
const TOKEN_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";
const LINE_PATTERN: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";
const PROSE_PATTERN: &str = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$";

macro_rules! text_value {
    ($(#[$meta:meta])* $name:ident, $check:expr, $expected:literal) => {
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        $(#[$meta])*
        pub struct $name(String);

        impl $name {
            /// Accepts the text when it keeps the type's invariant.
            ///
            /// # Errors
            /// [`InvalidValue`] says what was expected.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidValue> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err(InvalidValue($expected)) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! plain_debug {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )+};
}

macro_rules! redacted_debug {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )+};
}

text_value!(
    /// A stock keeping unit: names one variant of one product, for ever.
    #[schemars(extend("pattern" = TOKEN_PATTERN))]
    Sku, is_token, "expected 1 to 64 letters, digits, '-' or '_'"
);
text_value!(
    /// A category's name in addresses.
    #[schemars(extend("pattern" = TOKEN_PATTERN))]
    Slug, is_token, "expected 1 to 64 letters, digits, '-' or '_'"
);
text_value!(
    /// A role that rules can name.
    #[schemars(extend("pattern" = TOKEN_PATTERN))]
    RoleName, is_token, "expected 1 to 64 letters, digits, '-' or '_'"
);
text_value!(
    /// A person's or a thing's name: 1 to 200 characters, no control characters.
    #[schemars(extend("minLength" = 1, "maxLength" = 200, "pattern" = LINE_PATTERN))]
    Name, |text| is_line(text, 200), "expected 1 to 200 characters without control characters"
);
text_value!(
    /// A line of an address or the like: 1 to 500 characters, no control characters.
    #[schemars(extend("minLength" = 1, "maxLength" = 500, "pattern" = LINE_PATTERN))]
    Text, |text| is_line(text, 500), "expected 1 to 500 characters without control characters"
);
text_value!(
    /// Prose for customers: at most 10,000 characters, may be empty or have several lines.
    #[schemars(extend("maxLength" = 10_000, "pattern" = PROSE_PATTERN))]
    Description, |text| is_prose(text, 10_000),
    "expected at most 10000 characters without control characters other than line breaks and tabs"
);
text_value!(
    /// Why somebody did something, in their words: 1 to 500 characters.
    #[schemars(extend("minLength" = 1, "maxLength" = 500, "pattern" = LINE_PATTERN))]
    Reason, |text| is_line(text, 500), "expected 1 to 500 characters without control characters"
);
text_value!(
    /// The SHA-256 of an API key's secret, in lower-case hexadecimal.
    #[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
    ApiKeyHash, is_digest, "expected 64 hexadecimal digits"
);
text_value!(
    /// A BCP 47 tag of a language we speak.
    #[schemars(extend("enum" = ["en", "zh"]))]
    Locale, |text| matches!(text, "en" | "zh"), "expected \"en\" or \"zh\""
);
text_value!(
    /// An address that mail can be sent to. Deliberately lax: only a delivery proves an address.
    #[schemars(extend("format" = "email", "maxLength" = 254))]
    EmailAddress, is_email, "expected an e-mail address of at most 254 characters"
);

plain_debug!(Sku, Slug, RoleName, Locale, Description, Reason);
redacted_debug!(Name, Text, EmailAddress, ApiKeyHash);

impl EmailAddress {
    /// The form in which two addresses are the same one.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
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

/// Safe in a path, a NATS subject and a URL.
fn is_token(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_line(text: &str, max_chars: usize) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= max_chars
        && !text.chars().any(char::is_control)
}

fn is_prose(text: &str, max_chars: usize) -> bool {
    text.chars().count() <= max_chars
        && !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn is_email(text: &str) -> bool {
    let Some((local, host)) = text.rsplit_once('@') else { return false };
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && !host.is_empty()
        && !host.starts_with(['.', '-'])
        && !host.ends_with(['.', '-'])
        && host.split('.').all(|label| !label.is_empty())
        && host.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-')
        && !local.chars().any(|c| {
            c.is_whitespace()
                || c.is_control()
                || matches!(
                    c,
                    '<' | '>' | '"' | ',' | ';' | '@' | '\\' | '(' | ')' | '[' | ']' | ':'
                )
        })
}
