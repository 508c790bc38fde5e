use crate::email::EmailAddress;
use crate::values::{Name, Note, Reason, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// A value that only the holder of one person's key can read: base64 of nonce, ciphertext and tag.
///
/// In the journal it is `{"$sealed":"…"}`. The key lives outside the journal; when it is deleted
/// the value is gone for ever, in every copy of every event, which is what erasure means. The
/// domain never opens one: decisions do not depend on personal data.
pub struct Sealed<T> {
    ciphertext: String,
    plaintext: PhantomData<fn() -> T>,
}

/// A secret that belongs to a person, sealed like personal data: a password's hash.
pub type SealedSecret = Sealed<String>;

impl<T> Sealed<T> {
    /// Wraps a ciphertext made by the vault.
    #[must_use]
    pub fn from_ciphertext(ciphertext: String) -> Self {
        Self { ciphertext, plaintext: PhantomData }
    }

    /// The ciphertext, for the vault and for storing.
    #[must_use]
    pub fn ciphertext(&self) -> &str {
        &self.ciphertext
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::from_ciphertext(self.ciphertext.clone())
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.ciphertext == other.ciphertext
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

#[derive(Serialize, Deserialize)]
struct SealedWire<'a> {
    #[serde(rename = "$sealed")]
    sealed: Cow<'a, str>,
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SealedWire { sealed: self.ciphertext.as_str().into() }.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = SealedWire::deserialize(deserializer)?;
        Ok(Self::from_ciphertext(wire.sealed.into_owned()))
    }
}

impl<T> JsonSchema for Sealed<T> {
    fn schema_name() -> Cow<'static, str> {
        "Sealed".into()
    }

    /// The same for every `T`: what is inside is nobody's contract.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Personal data, encrypted with a key of that person's own.",
            "type": "object",
            "properties": { "$sealed": { "type": "string" } },
            "required": ["$sealed"],
            "x-personal": true,
        })
    }
}

/// A type that may be sealed. The marker keeps accidental sealing of ids and facts out.
pub trait Personal: Serialize + DeserializeOwned {}

impl Personal for Profile {}
impl Personal for OrderContact {}
impl Personal for String {}
impl Personal for Name {}
impl Personal for Reason {}
impl Personal for Device {}
impl Personal for SecondFactorSecret {}

/// What a user told us about themselves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Where mail goes; unique among users, compared case-folded.
    pub email: EmailAddress,
    /// How they want to be addressed, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
}

/// What somebody signed in with, so that they recognise it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The address that it came from.
    pub address: IpAddr,
    /// What it called itself, if it did: the beginning of its `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Text>,
}

/// What a second factor's codes are made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactorSecret {
    /// The shared secret (RFC 4226), in base32.
    pub secret: String,
    /// The hashes of the recovery codes, each in lower-case hexadecimal.
    pub recovery_codes: Vec<String>,
}

/// Whom an order belongs to and where it goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderContact {
    /// Where the confirmation goes.
    pub email: EmailAddress,
    /// Where the parcel goes.
    pub shipping_address: Address,
}

/// A postal address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The person or firm at the door.
    pub name: Name,
    /// Street and house number.
    pub street: Text,
    /// City.
    pub city: Text,
    /// State or province. Required in AU, BR, CA, IN, MX and US. Absent, null and an empty text mean the same.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "unless_empty")]
    #[schemars(with = "Option<Note>")]
    pub state: Option<Text>,
    /// Postal code: text, because leading zeros and letters count. Required where the country has postal codes that
    /// mail needs; not in HK, AE or QA, for example. Absent, null and an empty text mean the same.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "unless_empty")]
    #[schemars(with = "Option<Note>")]
    pub zip: Option<Text>,
    /// ISO 3166 alpha-2.
    pub country: CountryCode,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text>,
}

impl Address {
    /// The member that its country asks for and that is not there.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        if self.zip.is_none() && self.country.needs_postal_code() {
            Some("zip")
        } else if self.state.is_none() && self.country.needs_state() {
            Some("state")
        } else {
            None
        }
    }
}

/// A postal address as somebody gives it: what its country asks for is there. Those of before may lack a state, and are
/// read as [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(transparent, inline)]
pub struct GivenAddress(
    /// The address.
    pub Address,
);

impl<'de> Deserialize<'de> for GivenAddress {
    fn deserialize<D: Deserializer<'de>>(format: D) -> Result<Self, D::Error> {
        let address = Address::deserialize(format)?;
        match address.missing() {
            None => Ok(Self(address)),
            Some(member) => Err(de::Error::missing_field(member)),
        }
    }
}

/// A line of text, or none where it is empty.
fn unless_empty<'de, D: Deserializer<'de>>(format: D) -> Result<Option<Text>, D::Error> {
    Ok(Option::<Note>::deserialize(format)?.and_then(Note::into_text))
}

macro_rules! redacted_debug {
    ($($type:ident),+) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    )+};
}
redacted_debug!(Profile, OrderContact, Address, Device, SecondFactorSecret);

/// The officially assigned ISO 3166-1 alpha-2 codes.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// Countries in which mail finds its way without a postal code: they have none, or hardly anybody knows theirs (as in
/// Ireland or Panama). After the Universal Postal Union's list; who has one may give it.
const WITHOUT_POSTAL_CODES: &str = "AE AG AO AW BF BI BJ BO BQ BS BV BW BZ CD CF CG CI CK CM CW DJ DM ER FJ GA GD GH GM GN GQ GY HK HM IE JM KI KM KN KP LC LY ML MO MR MW NR NU PA QA RW SB SC SL SO SR SS ST SX SY TD TF TG TK TL TO TT TV TZ UG VC VU WS YE ZW";

/// Countries whose carriers take no parcel without the state: federations that print it in the address. Elsewhere the
/// postal code says it, or nobody writes it; asking for it would lose orders.
const WITH_STATES: &str = "AU BR CA IN MX US";

/// An ISO 3166-1 alpha-2 country code, two capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(extend("enum" = COUNTRIES.split(' ').collect::<Vec<_>>()))]
pub struct CountryCode(#[schemars(with = "String")] [u8; 2]);

impl CountryCode {
    /// Accepts an assigned code in capital letters.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let bytes: [u8; 2] = code.as_bytes().try_into().ok()?;
        COUNTRIES.split(' ').any(|known| known == code).then_some(Self(bytes))
    }

    /// Whether mail to there needs a postal code.
    #[must_use]
    pub fn needs_postal_code(&self) -> bool {
        !WITHOUT_POSTAL_CODES.split(' ').any(|country| country == self.as_str())
    }

    /// Whether mail to there needs a state or a province.
    #[must_use]
    pub fn needs_state(&self) -> bool {
        WITH_STATES.split(' ').any(|country| country == self.as_str())
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters are ever stored")
    }
}

impl Serialize for CountryCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CountryCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).ok_or_else(|| {
            de::Error::custom("expected an ISO 3166 alpha-2 country code such as US")
        })
    }
}
