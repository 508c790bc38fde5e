//! Documents that are generated from the code and kept in the tree, so that a reviewer sees a
//! change of behaviour as a diff.

use std::path::Path;

/// The environment variable that lets a test write what it would otherwise refuse.
const BLESS: &str = "GOMALL_BLESS";

/// Fails when `path` (below the repository's root) does not hold `content`; with `GOMALL_BLESS=1`
/// it writes it.
#[track_caller]
pub(crate) fn assert_generated(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os(BLESS).is_some_and(|value| value == "1") {
        std::fs::write(&file, content).expect("the working tree is writable");
        return;
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = |(kept, generated): &(&str, &str)| kept != generated;
    let first = kept.lines().zip(content.lines()).find(differs);
    assert!(
        kept == content,
        "{path} is not what the code says; look at the change and write it with {BLESS}=1. \
         The first line that differs (kept, generated), if both have it: {first:#?}"
    );
}
