//! Gives the crate a digest of its own sources, `STATE_VERSION`.

use proc_macro2::{Spacing, TokenStream, TokenTree};
use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=GOMALL_STATE_VERSION={:016x}", digest(Path::new("src")));
}

/// FNV-1a over the names of all files below `folder` and over what of them is code. It tells versions
/// apart; it need not withstand anybody.
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
            code(&fs::read(&path).expect("a crate's sources can be read"))
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

/// The tokens of a file, without its comments and its lay-out: neither folds an event in another way. A
/// file that is no Rust is taken as it is.
fn code(file: &[u8]) -> Vec<u8> {
    let tokens = str::from_utf8(file).ok().and_then(|text| text.parse::<TokenStream>().ok());
    let Some(tokens) = tokens else { return file.to_vec() };
    let mut code = vec![];
    add(tokens, &mut code);
    code
}

fn add(tokens: TokenStream, code: &mut Vec<u8>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut rest = &tokens[..];
    while let Some((token, after)) = rest.split_first() {
        rest = match after_comment(rest) {
            Some(after) => after,
            None => {
                match token {
                    TokenTree::Group(group) => {
                        code.extend(format!("{:?}", group.delimiter()).bytes());
                        add(group.stream(), code);
                        code.extend(b"end");
                    }
                    // `& &` is not `&&`.
                    TokenTree::Punct(punct) => {
                        let joins = punct.spacing() == Spacing::Joint;
                        code.extend(format!("{punct}{}", if joins { "" } else { " " }).bytes());
                    }
                    TokenTree::Ident(_) | TokenTree::Literal(_) => {
                        code.extend(token.to_string().bytes());
                    }
                }
                // In no token.
                code.push(0xfe);
                after
            }
        };
    }
}

/// What follows a comment that documents something, which a lexer gives as the attribute `#[doc = …]`.
fn after_comment(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    let is = |token: &TokenTree, sign| matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign);
    let (first, rest) = tokens.split_first()?;
    let (mut attribute, mut rest) = rest.split_first()?;
    if is(attribute, '!') {
        (attribute, rest) = rest.split_first()?;
    }
    let TokenTree::Group(group) = attribute else { return None };
    let name = group.stream().into_iter().next()?;
    (is(first, '#') && name.to_string() == "doc").then_some(rest)
}
