//! What a path pattern may be. Patterns see canonical paths, which are ASCII, so they are compiled
//! over bytes: `\w` is then the small class that one expects, and patterns stay small.

use super::state::{MAX_PUBLIC_PATHS, MAX_RULES};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// The longest pattern.
pub const MAX_PATTERN_CHARS: usize = 512;

/// What one compiled pattern may take.
const PATTERN_BYTES: usize = 64 * 1024;

/// What all of them may take together: a set of patterns that were accepted one by one compiles.
/// Twice the sum, because a set adds a little to each of its patterns.
const SET_BYTES: usize = 2 * (MAX_RULES + MAX_PUBLIC_PATHS) * PATTERN_BYTES;

/// What a set's matcher may remember of the paths it has seen, per thread that matches at once.
const SET_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Says why a pattern is none.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.chars().count() > MAX_PATTERN_CHARS {
        return Err(format!("a pattern has at most {MAX_PATTERN_CHARS} characters"));
    }
    if pattern.chars().any(char::is_control) {
        return Err("a pattern holds no line breaks or other control characters".to_owned());
    }
    // By itself first: `a)|(?:b` is no expression, but would become one inside our anchors, and
    // one that is not anchored.
    build(pattern)?;
    build(&anchored(pattern)).map(|_| ())
}

/// Compiles accepted patterns into one automaton; its matches are indices into `patterns`.
pub(super) fn compile_set<'a>(
    patterns: impl Iterator<Item = &'a str>,
) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns.map(anchored))
        .unicode(false)
        .size_limit(SET_BYTES)
        .dfa_size_limit(SET_CACHE_BYTES)
        .build()
}

pub(super) fn anchored(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| error.to_string())
}
