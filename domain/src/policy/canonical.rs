use std::fmt;

/// The longest path: far above what any route needs, and short enough that no pattern takes long.
pub const MAX_PATH_CHARS: usize = 2_048;

/// A path in the one form that rules, public paths and limits see: it starts with one `/`, its
/// segments consist of `[A-Za-z0-9._~-]`, none is empty, `.` or `..`, only the root ends with a `/`,
/// and it has at most [`MAX_PATH_CHARS`] characters.
///
/// There is no normalising: what a proxy, a router or a file system could read in two ways is
/// refused, because the rules would have judged only one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CanonicalPath<'a>(&'a str);

impl<'a> CanonicalPath<'a> {
    /// The path as it came.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The path is not in canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a path of at most {MAX_PATH_CHARS} characters: segments of letters, digits, '.', '_', \
     '~' and '-', each after one '/', without '.' and '..' segments and without a '/' at the end"
)]
pub struct MalformedPath;

/// Accepts a raw request path, without the query, if it is canonical.
///
/// # Errors
/// [`MalformedPath`] for everything else.
pub fn canonical_path(raw: &str) -> Result<CanonicalPath<'_>, MalformedPath> {
    let segments = raw.strip_prefix('/').ok_or(MalformedPath)?;
    let short = raw.len() <= MAX_PATH_CHARS;
    if segments.is_empty() || (short && segments.split('/').all(is_segment)) {
        Ok(CanonicalPath(raw))
    } else {
        Err(MalformedPath)
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-'))
}
