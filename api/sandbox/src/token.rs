use domain::{Currency, Money};
use std::time::Duration;

/// The longest that `tok_slow_<ms>` holds an answer back, so that a test cannot tie up the service.
const MAX_SLOW: Duration = Duration::from_secs(10);

/// How long `tok_timeout` holds its caller: well beyond any client's patience, yet bounded.
const TIMEOUT_HOLD: Duration = Duration::from_secs(30);

/// What the provider does with a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Card {
    /// Captured after the configured delay.
    Captures,
    /// As [`Card::Captures`], but something else than what was asked for.
    CapturesOther {
        /// What is taken.
        captured: Money,
    },
    /// Captured at once, but the caller hears of it only after this long.
    AnswersLate {
        /// How long the answer is held back.
        hold: Duration,
    },
    /// The customer decides on the page.
    NeedsAction,
    /// Refused.
    Declines {
        /// Why.
        code: &'static str,
    },
    /// The provider does not take the request.
    Unavailable,
}

impl Card {
    /// The card that a token stands for, asked for money in `currency`; one that nobody knows is
    /// refused.
    pub(super) fn of(token: &str, currency: Currency) -> Self {
        match token {
            "tok_ok" => Self::Captures,
            "tok_declined" => Self::Declines { code: "card_declined" },
            "tok_insufficient_funds" => Self::Declines { code: "insufficient_funds" },
            "tok_action_required" => Self::NeedsAction,
            "tok_timeout" => Self::AnswersLate { hold: TIMEOUT_HOLD },
            "tok_unavailable" => Self::Unavailable,
            _ => Self::slow(token)
                .or_else(|| Self::other(token, currency))
                .unwrap_or(Self::Declines { code: "invalid_token" }),
        }
    }

    /// `tok_capture_<minor>` or `tok_capture_<minor>_<currency>`.
    fn other(token: &str, currency: Currency) -> Option<Self> {
        let said = token.strip_prefix("tok_capture_")?;
        let (digits, currency) = match said.split_once('_') {
            Some((digits, code)) => (digits, Currency::parse(code).ok()?),
            None => (said, currency),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let captured = Money::new(digits.parse().ok()?, currency).ok()?;
        Some(Self::CapturesOther { captured })
    }

    fn slow(token: &str) -> Option<Self> {
        let digits = token.strip_prefix("tok_slow_")?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let hold = Duration::from_millis(digits.parse().ok()?);
        (hold <= MAX_SLOW).then_some(Self::AnswersLate { hold })
    }
}

#[cfg(test)]
mod tests {
    use super::Card;
    use domain::{Currency, Money};
    use std::time::Duration;

    fn of(token: &str) -> Card {
        Card::of(token, Currency::USD)
    }

    #[test]
    fn a_slow_token_says_for_how_long_within_bounds() {
        let late = |ms| Card::AnswersLate { hold: Duration::from_millis(ms) };
        assert_eq!(of("tok_slow_0"), late(0));
        assert_eq!(of("tok_slow_10000"), late(10_000));
        for bad in ["tok_slow_", "tok_slow_10001", "tok_slow_+5", "tok_slow_99999999999999999999"] {
            assert_eq!(of(bad), Card::Declines { code: "invalid_token" }, "{bad}");
        }
    }

    #[test]
    fn a_capture_token_says_how_much_within_bounds() {
        let other = |minor, code| {
            let currency = Currency::parse(code).expect("a currency");
            Card::CapturesOther { captured: Money::new(minor, currency).expect("in range") }
        };
        assert_eq!(of("tok_capture_0"), other(0, "USD"));
        assert_eq!(of("tok_capture_500"), other(500, "USD"));
        assert_eq!(of("tok_capture_1000000000000_EUR"), other(1_000_000_000_000, "EUR"));
        for bad in [
            "tok_capture_",
            "tok_capture_-1",
            "tok_capture_1_",
            "tok_capture_1_XXX",
            "tok_capture_1_EUR_EUR",
            "tok_capture_1000000000001",
            "tok_capture_99999999999999999999",
        ] {
            assert_eq!(of(bad), Card::Declines { code: "invalid_token" }, "{bad}");
        }
    }

    #[test]
    fn an_unknown_token_is_declined() {
        for unknown in ["", "tok_OK", " tok_ok", "4242424242424242"] {
            assert_eq!(of(unknown), Card::Declines { code: "invalid_token" }, "{unknown}");
        }
    }
}
