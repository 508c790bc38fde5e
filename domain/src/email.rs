//! E-mail addresses: which are taken, and which are one.

use crate::text::{Breaks, canonical, composed};
use crate::values::{InvalidValue, redacted_debug, text_value};
use email_address::EmailAddress as MailerAddress;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde::{Deserialize, Deserializer, de};
use std::borrow::Cow;

/// The longest address (RFC 5321), and so the most characters of one.
const MAX_BYTES: usize = 254;

const NO_ADDRESS: InvalidValue =
    InvalidValue("expected an e-mail address of at most 254 characters");
const NOT_ASCII: InvalidValue = InvalidValue(
    "what stands before the '@' of an e-mail address must be ASCII: few mail servers take anything else",
);

text_value!(
    /// An address that mail can be sent to; only a delivery proves that somebody reads it. What stands before the `@` is
    /// ASCII and not quoted. The domain may be in any script, and is kept in its ASCII form (`xn--…`), in lower case.
    #[schemars(extend("format" = "email", "maxLength" = MAX_BYTES))]
    EmailAddress, writable, |text| Ok(writable(&text).unwrap_or(text))
);
redacted_debug!(EmailAddress);

impl EmailAddress {
    /// What somebody says an account's address is. Accounts of before may have one that nobody could register today; who
    /// has one must still be found by it. No mail goes to it because of this.
    ///
    /// # Errors
    /// [`InvalidValue`] for what never was an address.
    pub fn of_account(text: &str) -> Result<Self, InvalidValue> {
        writable(text).map(Self).or_else(|refused| {
            let text = text.trim();
            let is_one = text.len() <= MAX_BYTES
                && !text.contains(char::is_control)
                && text
                    .rsplit_once('@')
                    .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
            if is_one { Ok(Self(text.to_owned())) } else { Err(refused) }
        })
    }

    /// Reads [`EmailAddress::of_account`]: for members of bodies.
    ///
    /// # Errors
    /// When it is no text, or never was an address.
    pub fn read_of_account<'de, D: Deserializer<'de>>(format: D) -> Result<Self, D::Error> {
        Self::of_account(&String::deserialize(format)?).map_err(de::Error::custom)
    }

    /// The form in which two addresses are the same one: without differences of case, of composition, and between a
    /// domain and its ASCII form.
    #[must_use]
    pub fn folded(&self) -> String {
        let Some((local, domain)) = self.0.rsplit_once('@') else { return self.0.to_lowercase() };
        let local = composed(local).to_lowercase();
        let domain =
            in_ascii(domain).map_or_else(|| composed(domain).to_lowercase(), Cow::into_owned);
        format!("{}@{domain}", composed(&local))
    }

    /// As people would write it: its domain in its own script.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Some((local, domain)) = self.0.rsplit_once('@') else { return self.0.clone() };
        let (domain, _) = Uts46::new().to_unicode(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
        );
        format!("{local}@{domain}")
    }
}

/// Takes an address to the form in which it is kept, if the mailer can write to it: its parser is asked, of lettre.
fn writable(text: &str) -> Result<String, InvalidValue> {
    let text = canonical(text, MAX_BYTES, Breaks::None, NO_ADDRESS)?;
    let (local, domain) = text.rsplit_once('@').ok_or(NO_ADDRESS)?;
    if !local.is_ascii() {
        return Err(NOT_ASCII);
    }
    let domain = in_ascii(domain).ok_or(NO_ADDRESS)?;
    // Quoted, one mailbox has many spellings.
    let is_one = !local.starts_with('"')
        && MailerAddress::is_valid_local_part(local)
        && MailerAddress::is_valid_domain(&domain)
        && local.len() + 1 + domain.len() <= MAX_BYTES;
    if is_one { Ok(format!("{local}@{domain}")) } else { Err(NO_ADDRESS) }
}

/// A domain's labels in ASCII and lower case (UTS 46, not transitional: `ß` is a letter of its own). None for what is no
/// domain: labels have 1 to 63 letters, digits and hyphens, which neither begin nor end them.
fn in_ascii(domain: &str) -> Option<Cow<'_, str>> {
    Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        )
        .ok()
}
