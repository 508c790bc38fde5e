//! What a path pattern may be. Patterns see canonical paths, which are ASCII, so they are compiled
//! over bytes: `\w` is then the small class that one expects, and patterns stay small.

use regex::bytes::{Regex, RegexBuilder};
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

/// The longest pattern.
pub const MAX_PATTERN_CHARS: usize = 512;

/// What one compiled pattern may take.
const PATTERN_BYTES: usize = 64 * 1024;

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

/// How patterns are read, by whichever engine.
pub(super) fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

/// What a pattern says.
pub(super) fn parse(pattern: &str) -> Result<Hir, Box<regex_syntax::Error>> {
    syntax::parse_with(pattern, &syntax()).map_err(Box::new)
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
