//! `Accept-Language` (RFC 9110, section 12.5.4).

use super::accept::ranges;
use crate::openapi::takes::{Sketch, Takes};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::request::Parts;
use domain::Locale;
use serde_json::json;
use std::convert::Infallible;

/// The languages that we write, the one for everybody else first.
const WRITTEN: [&str; 2] = ["en", "zh"];

/// Of the languages that we write the one that the caller likes best, else English.
pub struct Language(pub Locale);

impl Takes for Language {
    fn describe(sketch: &mut Sketch<'_>) {
        let description = "Which language is liked best, for whom nobody has said it otherwise.";
        let schema = json!({"type": "string", "examples": ["zh-CN, en;q=0.5"]});
        sketch.header("Accept-Language", false, description, schema);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(preferred_locale(&parts.headers)))
    }
}

/// A range means a language of ours by its first subtag: `zh-Hans-CN` is Chinese. Of several ranges the more
/// precise one counts for a language, so that `en;q=0, *` is anything but English; of equals the one that is named
/// first. What is not written by the grammar is left out, and leaves the other ranges as they are.
fn preferred_locale(headers: &HeaderMap) -> Locale {
    let ranges = ranges(headers, &ACCEPT_LANGUAGE);
    let weight = |language: &str| {
        let named = |name: &str| {
            let mut of_it = ranges.iter().enumerate().filter(|(_, (range, _))| names(range, name));
            let first = of_it.next()?;
            Some(of_it.fold(first, |best, next| if next.1.1 > best.1.1 { next } else { best }))
        };
        named(language).or_else(|| named("*")).map(|(place, (_, weight))| (place, *weight))
    };
    let liked = WRITTEN.into_iter().filter_map(|language| Some((weight(language)?, language)));
    let liked = liked.filter(|((_, weight), _)| *weight > 0);
    let best = liked.min_by_key(|((place, weight), _)| (std::cmp::Reverse(*weight), *place));
    let best = best.map_or(WRITTEN[0], |(_, language)| language);
    Locale::parse(best).expect("we write in languages that we know")
}

/// Whether a range is of this language, whatever script, region or variant it asks for.
fn names(range: &str, language: &str) -> bool {
    range.split('-').next().is_some_and(|first| first.eq_ignore_ascii_case(language))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn preferred(values: &[&'static str]) -> String {
        let values = values.iter().copied().map(HeaderValue::from_static);
        let headers = values.map(|value| (ACCEPT_LANGUAGE, value)).collect();
        preferred_locale(&headers).as_str().to_owned()
    }

    #[test]
    fn a_language_is_chosen_by_the_grammar_of_the_header() {
        for (values, language) in [
            (&[][..], "en"),
            (&["zh"], "zh"),
            (&["zh;Q=0.9"], "zh"),
            (&["zh;Q=0.1, en;q=0.5"], "en"),
            (&["ZH-hans-CN"], "zh"),
            (&["zh ; q=0.9\t, en;q=0.8"], "zh"),
            (&["zh;q=0.7;x=1"], "zh"),
            (&["zh;x=1;q=0.7, en;q=0.8"], "en"),
            (&["en;q=0.2, zh;q=0.3"], "zh"),
            (&["en;q=0.2", "zh;q=0.3"], "zh"),
            (&["zh, en"], "zh"),
            (&["en, zh"], "en"),
            (&["de, fr;q=0.9, zh;q=0.1"], "zh"),
            (&["de"], "en"),
            (&["*"], "en"),
            (&["en;q=0, *"], "zh"),
            (&["*;q=0.5, zh"], "zh"),
            (&["*, zh;q=0.1"], "en"),
            (&["en-US;q=0.1, zh;q=0.5, en;q=0.9"], "en"),
            (&["zh;q=0"], "en"),
            (&[",, zh,"], "zh"),
            (&["zhx"], "en"),
            (&[""], "en"),
        ] {
            assert_eq!(preferred(values), language, "{values:?}");
        }
    }
}
