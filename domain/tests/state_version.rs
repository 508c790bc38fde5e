//! A stored state is read by the code that folded it, or not at all.

#[expect(dead_code, reason = "its main runs when the crate is built")]
#[path = "../build.rs"]
mod build;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

#[test]
fn the_state_version_is_the_digest_of_the_sources_as_they_are() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(domain::STATE_VERSION, format!("{:016x}", build::digest(&sources)));
}

/// The digest of a crate with one file that holds `content`, at `path` below `folder`.
fn digest_with(folder: &Path, path: &str, content: &str) -> u64 {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the folder can be made");
    fs::write(&file, content).expect("the file can be written");
    let digest = build::digest(folder);
    fs::remove_file(&file).expect("the file can be removed");
    digest
}

fn folder(test: &str) -> PathBuf {
    env::temp_dir().join(format!("gomall-state-version-{test}-{}", process::id()))
}

#[test]
fn any_change_of_any_code_gives_another_state_version() {
    let folder = folder("code");
    let digest = |path: &str, content: &str| digest_with(&folder, path, content);
    let state = "stock/state.rs";
    let first = digest(state, "fn apply() { on_hand = 1; }");
    assert_eq!(first, digest(state, "fn apply() { on_hand = 1; }"));
    assert_ne!(first, digest("stock/states.rs", "fn apply() { on_hand = 1; }"), "another file");
    for other in [
        "fn applu() { on_hand = 1; }",
        "fn apply() { on_hand = 2; }",
        "fn apply() { on_hand =- 1; }",
        "fn apply() { /* on_hand = 1; */ }",
        "fn apply() { } on_hand = 1;",
        "#[doc_hidden] fn apply() { on_hand = 1; }",
        "fn apply() { on_hand = 1; ",
        "no rust: '",
    ] {
        assert_ne!(first, digest(state, other), "{other}");
    }
    let pairs = [
        ("a & &b", "a && b"),
        ("\"a b\"", "\"a  b\""),
        ("\"// a\"", "\"// b\""),
        ("r#\"/* a */\"#", "r#\"/* b */\"#"),
        ("x = '\"'; // \"", "x = '\"'; y // \""),
        ("a b", "ab"),
        ("'a'", "'a"),
        ("# [docs = \"a\"]", "# [docs = \"b\"]"),
    ];
    for (one, other) in pairs {
        assert_ne!(digest(state, one), digest(state, other), "{one} and {other}");
    }
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}

#[test]
fn a_comment_and_the_layout_change_no_state_version() {
    let folder = folder("comments");
    let digest = |content: &str| digest_with(&folder, "stock/state.rs", content);
    let first = digest("mod a; fn apply(on_hand: &'static str) { [1, 2] }");
    for other in [
        "mod a;\n\nfn apply(on_hand: &'static str) {\n    [1, 2]\n}\n",
        "//! The \"state.\n\nmod a;\n/// Folds.\nfn apply(on_hand: &'static str) { [1, 2] } // it's",
        "/*! a */ mod a; /** b */ fn apply(/* c /* d */ */on_hand: &'static str) { [1, 2] }",
        "mod a; #[doc = \"b\"] fn apply(on_hand: &'static str) { [ 1,2 ] }",
    ] {
        assert_eq!(first, digest(other), "{other}");
    }
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}
