use super::super::{cases, write};
use super::*;

const FILE: &str = r#"
[[rule]]
effect = "allow"
roles = ["staff"]
methods = ["GET"]
path = '/tea/\w+'
note = "Tea's \"best\""

[[rule]]
effect = "deny"
roles = ["*"]
methods = ["*"]
path = "/tea/[it's]+"

[[public_path]]
methods = ["GET"]
path = '/'
"#;

fn file(text: &str) -> PolicyFile {
    parse(text).expect("a good file")
}

/// What is wrong with the text, as one.
fn wrong(text: &str) -> String {
    parse(text).map(drop).expect_err("something is wrong").join("\n")
}

#[test]
fn what_is_exported_is_read_as_the_same_policy_and_is_the_same_text_again() {
    let policy = file(FILE).policy();
    let text = write::text(&policy);
    let again = file(&text);
    let rules = |policy: &Policy| {
        let mut rules: Vec<_> =
            policy.rules.values().map(|held| super::super::describe_rule(&held.rule)).collect();
        rules.sort();
        rules
    };
    assert_eq!(rules(&again.policy()), rules(&policy));
    assert_eq!(again.policy().public_paths, policy.public_paths);
    assert_eq!(write::text(&again.policy()), text);
}

#[test]
fn everything_that_is_wrong_is_named_with_its_line() {
    let bad = FILE.replace(r"/tea/\w+", "/tea(").replace("path = '/'", "path = 'x'");
    let said =
        wrong(&(bad + "[[case]]\nroles = []\nmethod = \"get\"\npath = '/'\nexpect = \"deny\"\n"));
    for line in ["line 2: ", "line 15: ", "line 18: "] {
        assert!(said.contains(line), "{line}{said}");
    }
    assert!(
        wrong("[[rule]]\neffect = \"maybe\"").contains("line 2"),
        "{}",
        wrong("[[rule]]\neffect = 1")
    );
    let unknown = wrong(&FILE.replace("note", "nota"));
    assert!(unknown.contains("unknown field `nota`"), "{unknown}");
}

#[test]
fn a_file_is_bounded() {
    let case = "[[case]]\nroles = []\nmethod = \"GET\"\npath = '/'\nexpect = \"deny\"\n";
    assert_eq!(wrong(&case.repeat(MAX_CASES + 1)), format!("there are at most {MAX_CASES} cases"));
    let rule = "[[rule]]\neffect = \"deny\"\nroles = [\"*\"]\nmethods = [\"*\"]\npath = '/'\n";
    assert_eq!(wrong(&rule.repeat(MAX_RULES + 1)), format!("there are at most {MAX_RULES} rules"));
}

#[test]
fn a_case_fails_for_another_answer_and_for_another_reason() {
    let failures = |case: &str| {
        let file = file(&format!("{FILE}[[case]]\n{case}"));
        cases::failures(&file.policy(), &file.cases).expect("a small policy")
    };
    let case = |roles: &str, path: &str, expect: &str| {
        format!("roles = {roles}\nmethod = \"HEAD\"\npath = '{path}'\nexpect = \"{expect}\"\n")
    };
    let none: [String; 0] = [];
    assert_eq!(failures(&case("['staff']", "/tea/oolong", "allow")), none);
    assert_eq!(failures(&case("['anonymous']", "/", "allow")), none);
    assert_eq!(failures(&(case("['staff']", "/tea/oolong", "allow") + r"by = '/tea/\w+'")), none);
    let reason = failures(&(case("['staff']", "/tea/oolong", "allow") + "by = '/.*'"));
    assert!(reason[0].contains(r"allowed by '/tea/\w+', expected allowed by '/.*'"), "{reason:?}");
    let answer = failures(&case("[]", "/tea/oolong", "allow"));
    let expected = "line 18: HEAD /tea/oolong as somebody with a token is denied because nothing \
                    allows it, expected allowed";
    assert_eq!(answer, [expected]);
    for path in ["//", "/x/"] {
        assert!(wrong(&format!("[[case]]\n{}", case("[]", path, "deny"))).contains("line 1"));
    }
}
