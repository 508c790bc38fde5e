//! Codes of a second factor: those that change with the time (RFC 6238, as every authenticator makes them:
//! SHA-1, six digits, half a minute), and recovery codes.

use super::api_key::hex;
use domain::user::{RECOVERY_CODES, SecondFactorCommand};
use domain::{SecondFactorSecret, Timestamp};
use sha2::{Digest, Sha256};
use totp_rs::{Algorithm, Secret, TOTP};

/// How long one code is made, in seconds.
const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;

/// How many steps a phone's clock may be off: the code before, and the next one.
const SKEW_STEPS: u64 = 1;

/// The length that RFC 4226 recommends.
const SECRET_BYTES: usize = 20;

/// 120 bits, so that a fast hash of one is enough (ASVS 6.5.2 wants 112).
const RECOVERY_BYTES: usize = 15;

/// The name under which an authenticator keeps it.
const ISSUER: &str = "GoMall";

/// A code is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightCode {
    /// It is that of this time step.
    Step(u32),
    /// It is this recovery code.
    Recovery(u32),
}

impl RightCode {
    /// What takes it: whether it still counts is decided there.
    #[must_use]
    pub fn command(self) -> SecondFactorCommand {
        match self {
            Self::Step(step) => SecondFactorCommand::Use { step },
            Self::Recovery(index) => SecondFactorCommand::UseRecoveryCode { index },
        }
    }
}

/// A second factor as it is given out: shown once.
pub struct SecondFactorSetup {
    /// What is kept, sealed.
    pub kept: SecondFactorSecret,
    /// What is typed in when all is lost, like `abcde-fghij-klmno-pqrst-uvwx`.
    pub recovery_codes: Vec<String>,
}

impl SecondFactorSetup {
    /// A fresh one.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let secret = base32(SECRET_BYTES)?;
        let codes = (0..RECOVERY_CODES).map(|_| base32(RECOVERY_BYTES));
        let codes = codes.collect::<Result<Vec<_>, _>>()?;
        let recovery_codes = codes.iter().map(|code| grouped(code)).collect();
        let hashes = codes.iter().map(|code| hashed(code)).collect();
        Ok(Self { kept: SecondFactorSecret { secret, recovery_codes: hashes }, recovery_codes })
    }

    /// What an authenticator reads from a picture of it: the key's URI, for the account of `label`.
    #[must_use]
    pub fn uri(&self, label: &str) -> String {
        let label: String = label.bytes().map(percent).collect();
        format!("otpauth://totp/{ISSUER}:{label}?secret={}&issuer={ISSUER}", self.kept.secret)
    }
}

/// Which right code this is, if it is one at `now`.
#[must_use]
pub fn right_code(kept: &SecondFactorSecret, code: &str, now: Timestamp) -> Option<RightCode> {
    let code: String = code.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    if code.len() == DIGITS {
        let secret = Secret::Encoded(kept.secret.clone()).to_bytes().ok()?;
        let totp = TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_SECONDS, secret).ok()?;
        let step = u64::try_from(now.unix_seconds()).ok()? / STEP_SECONDS;
        let steps = step.saturating_sub(SKEW_STEPS)..=step + SKEW_STEPS;
        let found = steps.rev().find(|step| totp.check(&code, step * STEP_SECONDS));
        return found.and_then(|step| u32::try_from(step).ok()).map(RightCode::Step);
    }
    let hash = hashed(&code.to_ascii_uppercase());
    let index = kept.recovery_codes.iter().position(|kept| *kept == hash)?;
    u32::try_from(index).ok().map(RightCode::Recovery)
}

fn hashed(code: &str) -> String {
    hex(&Sha256::digest(code))
}

fn base32(bytes: usize) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random)?;
    Ok(Secret::Raw(random).to_encoded().to_string())
}

/// In groups of five, in lower case, to be typed.
fn grouped(code: &str) -> String {
    let groups: Vec<_> = code.as_bytes().chunks(5).map(String::from_utf8_lossy).collect();
    groups.join("-").to_ascii_lowercase()
}

fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's examples, `12345678901234567890`, and its recovery code.
    fn kept() -> SecondFactorSecret {
        SecondFactorSecret {
            secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned(),
            recovery_codes: vec![hashed("AAAAABBBBBCCCCCD"), hashed("EEEEEFFFFFGGGGGH")],
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::EPOCH.plus_seconds(seconds)
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, of whose eight digits six are the last.
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")]
        {
            let step = u32::try_from(seconds / 30).expect("it is small");
            assert_eq!(right_code(&kept(), code, at(seconds)), Some(RightCode::Step(step)));
        }
    }

    #[test]
    fn a_clock_may_be_off_by_a_step_and_no_more() {
        let step = Some(RightCode::Step(1));
        for (seconds, right) in [(29, step), (30, step), (89, step), (90, None), (1_000, None)] {
            assert_eq!(right_code(&kept(), "287082", at(seconds)), right, "{seconds}");
        }
        for bad in ["", "287083", "28708", "2870822", "28708x", "２８７０８２"] {
            assert_eq!(right_code(&kept(), bad, at(59)), None, "{bad}");
        }
    }

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed() {
        for typed in ["eeeee-fffff-ggggg-h", "EEEEE FFFFF GGGGG H", "eeeeefffffgggggh"] {
            assert_eq!(right_code(&kept(), typed, at(0)), Some(RightCode::Recovery(1)));
        }
        assert_eq!(right_code(&kept(), "eeeee-fffff-ggggg-i", at(0)), None);
    }

    #[test]
    fn what_is_given_out_is_taken_back() {
        let setup = SecondFactorSetup::generate().expect("random numbers");
        assert_eq!(setup.recovery_codes.len(), RECOVERY_CODES);
        for (index, code) in (0..).zip(&setup.recovery_codes) {
            assert_eq!(right_code(&setup.kept, code, at(0)), Some(RightCode::Recovery(index)));
        }
        let uri = setup.uri("ada+shop@example.com");
        assert!(uri.starts_with("otpauth://totp/GoMall:ada%2Bshop%40example.com?secret="), "{uri}");
    }
}
