//! A stored state is read by the code that folded it, or not at all.

#[expect(dead_code, reason = "its main runs when the crate is built")]
#[path = "../build.rs"]
mod build;

use std::path::Path;
use std::{env, fs, process};

#[test]
fn the_state_version_is_the_digest_of_the_sources_as_they_are() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(domain::STATE_VERSION, format!("{:016x}", build::digest(&sources)));
}

#[test]
fn any_change_of_any_source_gives_another_state_version() {
    let folder = env::temp_dir().join(format!("gomall-state-version-{}", process::id()));
    let file = folder.join("stock/state.rs");
    fs::create_dir_all(folder.join("stock")).expect("the folder can be made");
    let digest_with = |content: &str| {
        fs::write(&file, content).expect("the file can be written");
        build::digest(&folder)
    };
    let first = digest_with("apply");
    assert_ne!(first, digest_with("applu"));
    assert_ne!(first, digest_with("apply "));
    assert_eq!(first, digest_with("apply"));
    fs::rename(&file, folder.join("stock/states.rs")).expect("the file can be renamed");
    assert_ne!(first, build::digest(&folder));
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}
