use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The largest amount of minor units that any single value may hold, so that 100 lines of 999
/// units still add up without coming near the end of an `i64`.
const MAX_MINOR: i64 = 1_000_000_000_000;

/// The active ISO 4217 codes, sorted. Funds and indexed units of account are among them: some shops
/// in their countries price in them.
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// The codes whose minor unit is not a hundredth, by the number of decimals that ISO 4217 gives
/// them. All others have two.
const DECIMALS: [(usize, &str); 3] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// An ISO 4217 currency code, three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(extend("enum" = CODES.split(' ').collect::<Vec<_>>()))]
pub struct Currency(#[schemars(with = "String")] [u8; 3]);

impl Currency {
    /// The currency of the sample catalogue.
    pub const USD: Self = Self(*b"USD");

    /// Accepts an active code in capital letters.
    ///
    /// # Errors
    /// [`InvalidMoney::UnknownCurrency`] for everything else.
    pub fn parse(code: &str) -> Result<Self, InvalidMoney> {
        let bytes: [u8; 3] =
            code.as_bytes().try_into().map_err(|_| InvalidMoney::UnknownCurrency)?;
        if bytes.iter().all(u8::is_ascii_uppercase) && CODES.split(' ').any(|known| known == code) {
            Ok(Self(bytes))
        } else {
            Err(InvalidMoney::UnknownCurrency)
        }
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII letters are ever stored")
    }

    /// How many decimals an amount has when it is written in major units, 0 to 4: 2 for USD,
    /// 0 for JPY, 3 for KWD (ISO 4217).
    #[must_use]
    pub fn decimals(&self) -> usize {
        let of_its_own =
            DECIMALS.iter().find(|(_, codes)| codes.split(' ').any(|code| code == self.as_str()));
        of_its_own.map_or(2, |(decimals, _)| *decimals)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::parse(&code).map_err(de::Error::custom)
    }
}

/// Why an amount or a calculation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not an active ISO 4217 code.
    #[error("expected an ISO 4217 currency code such as USD")]
    UnknownCurrency,
    /// Below zero or above a trillion minor units.
    #[error("expected an amount from 0 to {MAX_MINOR} minor units")]
    OutOfRange,
    /// Two currencies in one calculation.
    #[error("amounts of different currencies cannot be combined")]
    MixedCurrencies,
}

/// An amount of money: a count of minor units (cents) that is never negative, and its currency.
///
/// There is no division and no float, so there is nothing to round; whatever will need rounding
/// (tax, percentages) rounds half away from zero, once, where it is computed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Money {
    /// Minor units.
    #[schemars(range(min = 0, max = MAX_MINOR))]
    amount: i64,
    currency: Currency,
}

impl Money {
    /// `amount` minor units of `currency`.
    ///
    /// # Errors
    /// [`InvalidMoney::OutOfRange`].
    pub fn new(amount: i64, currency: Currency) -> Result<Self, InvalidMoney> {
        if (0..=MAX_MINOR).contains(&amount) {
            Ok(Self { amount, currency })
        } else {
            Err(InvalidMoney::OutOfRange)
        }
    }

    /// Nothing, in `currency`.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// The minor units.
    #[must_use]
    pub fn amount_minor(&self) -> i64 {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The sum.
    ///
    /// # Errors
    /// [`InvalidMoney::MixedCurrencies`] or [`InvalidMoney::OutOfRange`].
    pub fn plus(self, other: Self) -> Result<Self, InvalidMoney> {
        if self.currency != other.currency {
            return Err(InvalidMoney::MixedCurrencies);
        }
        let sum = self.amount.checked_add(other.amount).ok_or(InvalidMoney::OutOfRange)?;
        Self::new(sum, self.currency)
    }

    /// What is left without `other`.
    ///
    /// # Errors
    /// [`InvalidMoney::MixedCurrencies`], or [`InvalidMoney::OutOfRange`] when `other` is more.
    pub fn minus(self, other: Self) -> Result<Self, InvalidMoney> {
        if self.currency != other.currency {
            return Err(InvalidMoney::MixedCurrencies);
        }
        // Neither is negative, so this cannot overflow.
        Self::new(self.amount - other.amount, self.currency)
    }

    /// The price of `quantity` pieces.
    ///
    /// # Errors
    /// [`InvalidMoney::OutOfRange`].
    pub fn times(self, quantity: u32) -> Result<Self, InvalidMoney> {
        let product =
            self.amount.checked_mul(i64::from(quantity)).ok_or(InvalidMoney::OutOfRange)?;
        Self::new(product, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// The amount in major units with the currency's own number of decimals: `9.90 USD`, `990 JPY`,
/// `1.500 KWD`. The one place where minor units become text for people.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let digits = format!("{:0width$}", self.amount, width = decimals + 1);
        let (major, minor) = digits.split_at(digits.len() - decimals);
        let point = if minor.is_empty() { "" } else { "." };
        write!(f, "{major}{point}{minor} {}", self.currency)
    }
}

/// The amount on the wire: checked by itself, so that a refusal names it and not the whole.
struct MinorUnits(i64);

impl<'de> Deserialize<'de> for MinorUnits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amount = i64::deserialize(deserializer)?;
        Money::new(amount, Currency::USD).map_err(de::Error::custom)?;
        Ok(Self(amount))
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename = "Money")]
        struct Wire {
            amount: MinorUnits,
            currency: Currency,
        }
        let wire = Wire::deserialize(deserializer)?;
        Ok(Self { amount: wire.amount.0, currency: wire.currency })
    }
}
