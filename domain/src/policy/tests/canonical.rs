use super::super::{MAX_PATH_CHARS, MalformedPath, canonical_path};
use proptest::prelude::*;

fn accepted(raw: &str) {
    assert_eq!(canonical_path(raw).map(|path| path.as_str()), Ok(raw));
}

fn refused(raw: &str) {
    assert_eq!(canonical_path(raw), Err(MalformedPath), "{raw:?}");
}

#[test]
fn ordinary_paths_are_accepted_as_they_are() {
    for raw in [
        "/",
        "/docs",
        "/api/v1/products/01890a5d-ac96-774b-bcce-b302099a8057",
        "/static/image/t-shirt-1.jpeg",
        "/.well-known/jwks.json",
        "/a_b~c.d-e",
        "/...",
        "/.a",
        "/a..",
    ] {
        accepted(raw);
    }
}

// The paths of PAIN.md's table, each by the name of what it tries.

#[test]
fn a_double_slash_does_not_pass_for_another_path() {
    refused("//admin");
    refused("/api//v1");
    refused("//");
}

#[test]
fn an_escaped_letter_does_not_pass_for_another_path() {
    refused("/%61dmin");
    refused("/admin%2frules");
    refused("/admin%00");
}

#[test]
fn a_slash_at_the_end_does_not_pass_for_another_path() {
    refused("/admin/");
    refused("/docs/");
}

#[test]
fn a_path_parameter_does_not_pass_for_another_path() {
    refused("/admin;x");
    refused("/admin;jsessionid=1/rules");
}

#[test]
fn an_escaped_parent_does_not_pass_for_another_path() {
    refused("/static/..%2fadmin");
    refused("/static/%2e%2e/admin");
}

#[test]
fn dot_segments_do_not_pass_for_another_path() {
    refused("/static/../admin");
    refused("/./admin");
    refused("/..");
    refused("/.");
    refused("/admin/.");
}

#[test]
fn what_is_no_path_is_refused() {
    for raw in ["", "*", "admin", "http://shop/admin", "/a b", "/a\n", "/a\0", "/é", "/a?b", "/a#b"]
    {
        refused(raw);
    }
    for raw in ["/a\\b", "/a:b", "/a@b", "/a+b", "/a,b", "/a=b", "/a&b", "/a'b", "/a*b", "/a|b"] {
        refused(raw);
    }
}

#[test]
fn a_path_that_is_too_long_to_be_one_of_ours_is_refused() {
    accepted(&format!("/{}", "a".repeat(MAX_PATH_CHARS - 1)));
    refused(&format!("/{}", "a".repeat(MAX_PATH_CHARS)));
}

proptest! {
    #[test]
    fn an_accepted_path_has_one_reading(raw in "[a-zA-Z0-9._~/%;:\\\\ é-]{0,16}|(/[a.~_-]{0,3}){1,5}") {
        if let Ok(path) = canonical_path(&raw) {
            let path = path.as_str();
            prop_assert_eq!(path, raw.as_str());
            prop_assert!(path.starts_with('/'));
            prop_assert!(path == "/" || !path.ends_with('/'));
            prop_assert!(!path.contains("//"));
            prop_assert!(!path.contains(['%', ';', ':', '\\', ' ', '?', '#']));
            prop_assert!(path.is_ascii());
            prop_assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")));
        }
    }

    #[test]
    fn every_path_of_plain_segments_is_accepted(
        segments in prop::collection::vec("[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,8}", 0..6),
    ) {
        let raw = format!("/{}", segments.join("/"));
        prop_assert!(canonical_path(&raw).is_ok());
    }

    #[test]
    fn one_foreign_character_anywhere_spoils_a_path(
        before in "(/[a-z]{1,5}){0,3}/[a-z]{0,3}",
        foreign in "[^A-Za-z0-9._~/-]",
        after in "[a-z]{0,3}(/[a-z]{1,5}){0,3}",
    ) {
        let raw = format!("{before}{foreign}{after}");
        prop_assert_eq!(canonical_path(&raw), Err(MalformedPath));
    }
}
