use super::*;

fn rules(text: &str, paths: Paths) -> Vec<(usize, String)> {
    let (file, _) = parse(text, paths).expect("all of it is carried over");
    let describe = |rule: Placed<Rule>| (rule.line, super::super::describe_rule(&rule.value));
    file.rules.into_iter().map(describe).collect()
}

fn wrong(text: &str, paths: Paths) -> Vec<String> {
    parse(text, paths).map(|_| ()).expect_err("something cannot be carried over")
}

#[test]
fn a_policy_in_each_of_three_styles_says_here_what_it_says_there() {
    let key_match = "p, alice, /alice_data/*, GET\np, cathy, /cathy.data, (GET)|(POST), deny\n";
    assert_eq!(
        rules(key_match, Paths::KeyMatch),
        [
            (1, "allow  alice  GET  /alice_data/.*  ".to_owned()),
            (2, r"deny  cathy  GET,POST  /cathy\.data  ".to_owned()),
        ]
    );
    let key_match2 = "# roles\n\np,staff,/alice_data/:resource,(GET|POST)\np,*,/a/:id/using/*,.*";
    assert_eq!(
        rules(key_match2, Paths::KeyMatch2),
        [
            (3, "allow  staff  GET,POST  /alice_data/[^/]+  ".to_owned()),
            (4, "allow  *  *  /a/[^/]+/using/.*  ".to_owned()),
        ]
    );
    let regex = "p, staff, ^/a/[0-9]+$, GET\np, staff, /b, GET\np, staff, ^/c, GET\n\
                 p, staff, \"^/d/[0-9]{1,3}$|^/e\", GET";
    let paths: Vec<_> = parse(regex, Paths::RegexMatch).expect("regular expressions").0.rules;
    let paths: Vec<_> = paths.into_iter().map(|rule| rule.value.path).collect();
    assert_eq!(paths, ["/a/[0-9]+", ".*(?:/b).*", "/c.*", ".*(?:^/d/[0-9]{1,3}$|^/e).*"]);
}

#[test]
fn who_is_granted_a_role_is_reported_and_not_done() {
    let id = Uuid::nil();
    let (file, grants) =
        parse(&format!("g, a@example.com, staff\ng, {id}, admin"), Paths::KeyMatch).expect("both");
    assert_eq!(file.rules, []);
    let role = |name| RoleName::parse(name).expect("a role");
    let (staff, admin) = (role("staff"), role("admin"));
    assert_eq!(grants, [Grant { line: 1, role: staff }, Grant { line: 2, role: admin }]);
}

#[test]
fn every_line_that_cannot_be_carried_over_is_named() {
    let text = "p, staff, /ok, GET\np, data2_admin, data2, read\np, staff, /x, HEAD\n\
                g, alice, data2_admin\ng, alice, admin, domain1\np2, a, b\np, staff\n\
                p, staff, /a/*/b, GET\np, staff, \"/x, GET\np, staff, /x/, GET\n\
                p, two words, /x, GET\np, staff, /x, GET, perhaps";
    let wrong = wrong(text, Paths::KeyMatch);
    let lines: Vec<_> = wrong.iter().filter_map(|wrong| wrong.split(':').next()).collect();
    let expected: Vec<_> = (2..=12).map(|line| format!("line {line}")).collect();
    assert_eq!(lines, expected, "{wrong:#?}");
    assert_eq!(super::tests::wrong("p, staff, /foo*, GET", Paths::KeyMatch2).len(), 1);
}
