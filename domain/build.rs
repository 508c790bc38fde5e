//! Gives the crate a digest of its own sources, `STATE_VERSION`.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=GOMALL_STATE_VERSION={:016x}", digest(Path::new("src")));
}

/// FNV-1a over the names and the contents of all files below `folder`. It tells versions apart; it
/// need not withstand anybody.
pub(crate) fn digest(folder: &Path) -> u64 {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<_, _>>)
        .expect("a crate's sources can be read");
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for entry in entries {
        let path = entry.path();
        let content = if path.is_dir() {
            digest(&path).to_be_bytes().to_vec()
        } else {
            fs::read(&path).expect("a crate's sources can be read")
        };
        // What ends each part is in no name and in no text.
        for part in [entry.file_name().as_encoded_bytes(), &content] {
            for byte in part.iter().chain(&[0xff]) {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    hash
}
