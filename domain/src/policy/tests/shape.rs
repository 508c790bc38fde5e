use super::*;
use proptest::prelude::*;
use regex::Regex;

fn overlap(pattern: &str, shape: &PathShape) -> (bool, bool) {
    let Overlap { some, all } = overlaps(pattern, [shape])[0];
    (some, all)
}

#[test]
fn a_pattern_matches_none_some_or_all_paths_of_a_shape() {
    let one = PathShape::of_route("/a/{id}/b");
    for (pattern, expected) in [
        ("/.*", (true, true)),
        ("/a/[^/]+/b", (true, true)),
        ("/a/.*", (true, true)),
        ("/a/[0-9]+/b", (true, false)),
        ("/a/7/b", (true, false)),
        ("/a/[^/]+", (false, false)),
        ("/a//b", (false, false)),
        ("/a/[^/]+/b/", (false, false)),
        ("(?i)/A/[^/]*/B", (true, true)),
        (r"/a/\b.*\b/b", (true, false)),
        ("/a/b|/a/[^/]+/b|/c", (true, true)),
    ] {
        assert_eq!(overlap(pattern, &one), expected, "{pattern}");
    }
    let ids = PathShape::with_ids("/a/{id}");
    assert_eq!(overlap("/a/[0-9a-f-]{36}", &ids), (true, true));
    assert_eq!(overlap("/a/[0-9a-f-]{36}", &PathShape::of_route("/a/{id}")), (true, false));
    let rest = PathShape::of_route("/a/{*rest}");
    assert_eq!(overlap("/a/[^/]+", &rest), (true, false));
    assert_eq!(overlap("/a/.+", &rest), (true, true));
}

#[test]
fn a_pattern_that_takes_too_long_to_compare_is_taken_for_some_and_not_all() {
    let any = PathShape::any();
    assert_eq!(overlap("/.*a.{18}", &any), (true, false));
    let ids = PathShape::with_ids("/{id}");
    assert_eq!(overlap("/(.*a.{18}|.*[^a].{18})", &ids), (true, false));
}

#[test]
fn a_pattern_that_can_match_no_canonical_path_is_refused() {
    for nothing in [
        "",
        "api/v1/me",
        "/api/v1/me/",
        "/a//b",
        "/a b",
        "/a\\?b=c",
        "/é",
        "/a/(\\.|\\.\\.)",
        "/a^b",
        "[]a]",
        "https://shop/a",
        "/%2e",
    ] {
        let result = given::<Policy>(vec![]).when(add(7, allow("staff", "GET", nothing)));
        let rejection = result.inspect_result().expect_err(nothing);
        assert!(rejection.to_string().contains("matches no canonical path"), "{nothing}");
        let result = given::<Policy>(vec![]).when(add_public(7, "GET", nothing));
        assert_eq!(
            result.inspect_result().map_err(|rejection| rejection.code()),
            Err("bad_pattern")
        );
    }
    // What matches something says something, even if no route is there.
    for something in ["/", "/api/v1/admin/*", "/API/v1/me", "/admin/users", "/.*", "/a/?", "/..."] {
        let rule = allow("staff", "GET", something);
        given::<Policy>(vec![]).when(add(7, rule.clone())).then_expect_events(vec![added(7, rule)]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The claims about all paths hold for each that one happens to try.
    #[test]
    fn what_is_said_about_a_shape_holds_for_its_paths(
        pattern in prop::sample::select(vec![
            "/.*", "/a", "/a/[^/]+", "/a/[a-m].*", "/[ab]/.*", r"/a/\w+", "/(a|b)/[^.]*", "/a/..?",
        ]),
        first in "[abc]", segment in "[a-z.]{1,3}",
    ) {
        prop_assume!(!matches!(segment.as_str(), "." | ".."));
        let path = format!("/{first}/{segment}");
        let matches = Regex::new(&format!("^(?:{pattern})$")).expect("a pattern").is_match(&path);
        let (some, all) = overlap(pattern, &PathShape::of_route(&format!("/{first}/{{id}}")));
        prop_assert!(some || !matches, "{} matches {}", pattern, path);
        prop_assert!(matches || !all, "{} does not match {}", pattern, path);
    }
}
