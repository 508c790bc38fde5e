//! The policy as a file: out of a shop, through a review, and back.

use crate::support::Shop;
use crate::way_in::by_cli;
use reqwest::StatusCode;

const RULES: &str = "/api/v1/admin/permission-rules";

#[tokio::test]
async fn the_policy_is_exported_changed_and_imported_as_a_whole() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    let path = |name: &str| shop.data_dir.text().to_owned() + "/" + name;
    let import = |file: &str, more: &[&str]| {
        let arguments = [&["policy", "import", file][..], more].concat();
        let output = shop.command(&arguments, &[]).output().expect("the binary was built");
        let success = output.status.success();
        // The reason of a failure stands behind the log.
        let said = if success { output.stdout } else { [output.stdout, output.stderr].concat() };
        (success, String::from_utf8(said).expect("it prints UTF-8"))
    };
    let file = path("shop.toml");
    shop.run(&["policy", "export", &file]);
    let exported = std::fs::read_to_string(&file).expect("it was written");
    assert_eq!(shop.run(&["policy", "export"]), exported);
    assert_eq!(import(&file, &[]), (true, "the policy says so already\n".to_owned()));

    // One rule goes, one says something else, one comes.
    let less = exported.replace("path = '/api/v1/aggregates/.*'", "path = '/api/v1/x'");
    let changed = less.replace("note = 'Coupons and flash sales.'", "note = 'Sales.'");
    assert_eq!(changed.matches("'Sales.'").count(), 1, "{changed}");
    let case = "\n[[case]]\nroles = ['analyst']\nmethod = 'GET'\npath = '/api/v1/x'\n";
    std::fs::write(&file, changed.clone() + case + "expect = 'deny'\n").expect("it is ours");
    let (success, said) = import(&file, &[]);
    assert!(!success && said.contains("does not hold its own cases"), "{said}");
    std::fs::write(&file, changed + case + "expect = 'allow'\n").expect("it is ours");
    let (success, rehearsed) = import(&file, &["--dry-run"]);
    assert!(success && rehearsed.ends_with("3 changes, which would be accepted; none was made\n"));
    assert_eq!(by_cli(&admin, "RuleChanged").await, 0);
    let (success, said) = import(&file, &[]);
    assert!(success && said.ends_with("3 changes are in force\n"), "{said}");
    assert!(said.contains("- allow  analyst  GET  /api/v1/aggregates/.*"), "{said}");
    for event in ["RuleRemoved", "RuleChanged"] {
        assert_eq!(by_cli(&admin, event).await, 1, "{event}");
    }
    assert!(shop.run(&["policy", "test", &file, "--shop"]).contains("1 cases hold"));

    // What HTTP refuses is refused as a whole, also in a rehearsal.
    let locked = "[[rule]]\neffect = 'allow'\nroles = ['staff']\nmethods = ['*']\npath = '/.*'\n";
    for (text, refused) in [
        (locked.to_owned(), "could not sign in and undo it"),
        (exported.replace("'/.*'", "'/x/'"), "matches no canonical path"),
    ] {
        std::fs::write(&file, text).expect("it is ours");
        for more in [&["--dry-run"][..], &[]] {
            let (success, said) = import(&file, more);
            assert!(!success && said.contains(refused), "{said}");
        }
    }
    let csv = path("policy.csv");
    std::fs::write(&csv, "p, auditor, /api/v1/events, GET\ng, a@example.com, auditor\n")
        .expect("it");
    let (success, said) = import(&csv, &["--casbin", "key-match"]);
    assert!(success && said.contains("line 2: the role `auditor`"), "{said}");
    assert!(said.contains("+ allow  auditor  GET  /api/v1/events"), "{said}");
    assert!(import(&csv, &["--casbin", "key-match"]).1.ends_with("says so already\n"));
    admin.get(RULES).await.expect(StatusCode::OK);
    assert_eq!(by_cli(&admin, "RuleRemoved").await, 1, "nothing else was taken away");
}
