//! Text as people type it: one form of each, whatever keyboard, browser or paste it came from.

use crate::support::{Answer, PASSWORD, Person, Shop, checkout_body, key, new_id};
use compose::testing::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

const REGISTER: &str = "/api/v1/auth/register";
const LOGIN: &str = "/api/v1/auth/login";
const PRODUCTS: &str = "/api/v1/admin/products";

/// What nobody sees, or what turns the text around it.
const UNSEEN: [&str; 8] =
    ["\0", "\n", "\u{200b}", "\u{ad}", "\u{202e}", "\u{2066}", "\u{3164}", "\u{200f}"];

async fn sign_in(visitor: &Person, email: &str, password: &str) -> Answer {
    visitor.post(LOGIN, &json!({"email": email, "password": password})).await
}

async fn sign_up(visitor: &Person, email: &str, password: &str) -> Answer {
    visitor.post(REGISTER, &json!({"email": email, "password": password})).await
}

async fn database(shop: &Shop) -> PgPool {
    PgPool::connect(&shop.stack.postgres.url("gomall")).await.expect("it is up")
}

#[tokio::test]
async fn a_password_fits_however_its_letters_were_typed() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    for (number, (one, other)) in [
        ("ein passwörtchen", "ein passwo\u{308}rtchen"),
        ("passwo\u{308}rter gehen", "passwörter gehen"),
        ("한국어 비밀번호", "\u{1112}\u{1161}\u{11ab}국어 비밀번호"),
        ("Kapitel Ⅳ und Ⅴ", "Kapitel IV und V"),
        ("ｗｉｄｅ enough words", "wide enough words"),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("typist-{number}@example.com");
        sign_up(&visitor, &email, one).await.expect(StatusCode::CREATED);
        for password in [one, other] {
            sign_in(&visitor, &email, password).await.expect(StatusCode::OK);
        }
        let wrong = sign_in(&visitor, &email, &one.replace(' ', "")).await;
        wrong.refused(401, "bad_credentials");
    }
    // The list of common ones, and what is their own, are compared in that form too.
    for weak in ["ｐａｓｓｗｏｒｄ１", "bücherwurm", "Bu\u{308}cherwurm"] {
        let answer = sign_up(&visitor, "anna@bücherwurm.example", weak).await;
        assert_eq!(answer.refused(422, "weak_password")["errors"][0]["pointer"], "/password");
    }
}

#[tokio::test]
async fn twins_of_an_address_are_one_account() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    let taken = [
        ("Ada@Example.com", ["ada@EXAMPLE.com", " ada@example.com", "ada@ｅｘａｍｐｌｅ.com"]),
        (
            "anna@bücher.example",
            ["anna@xn--bcher-kva.example", "anna@bu\u{308}cher.example", "ANNA@BÜCHER.example"],
        ),
    ];
    for (email, twins) in taken {
        let account = sign_up(&visitor, email, PASSWORD).await;
        account.expect(StatusCode::CREATED);
        for twin in twins {
            sign_up(&visitor, twin, PASSWORD).await.refused(409, "email_taken");
            let theirs = sign_in(&visitor, twin, PASSWORD).await;
            assert_eq!(theirs.expect(StatusCode::OK)["user"]["id"], account.body["user"]["id"]);
        }
    }
    for space in [" ", "\u{a0}", "\r\n", "\u{2003}\t"] {
        let email = format!("{space}ada@example.com{space}");
        sign_in(&visitor, &email, PASSWORD).await.expect(StatusCode::OK);
    }
    for unseen in UNSEEN {
        let answer = sign_up(&visitor, &format!("ad{unseen}a@example.com"), PASSWORD).await;
        assert_eq!(answer.refused(422, "invalid_field")["errors"][0]["pointer"], "/email");
    }
    // Beyond ASCII, few mail servers take what stands before the `@`.
    for local in ["jörg", "jo\u{308}rg", "ａｄａ", "安"] {
        let answer = sign_up(&visitor, &format!("{local}@example.com"), PASSWORD).await;
        let error = &answer.refused(422, "invalid_field")["errors"][0];
        assert!(error["message"].as_str().expect("words").contains("ASCII"), "{error}");
    }
}

#[tokio::test]
async fn what_is_counted_for_an_address_is_counted_for_its_twins() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, visitor) = (shop.admin(&gomall).await, shop.visitor(&gomall));
    let twins = ["anna@bücher.example", "Anna@xn--bcher-kva.example", "anna@bu\u{308}cher.example"];
    let mut last = StatusCode::OK;
    for guess in 0..8 {
        let password = format!("guess number {guess} of mine");
        last = sign_in(&visitor, twins[guess % twins.len()], &password).await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS, "the brake");
    eventually("the security log finds the attempts by a twin", || async {
        let path = "/api/v1/admin/audit?kind=denial&email=anna%40b%C3%BCcher.example";
        let found = admin.get(path).await;
        let items = found.expect(StatusCode::OK)["items"].as_array().cloned().expect("a list");
        let times: u64 = items.iter().filter_map(|item| item["times"].as_u64()).sum();
        (times == 8).then_some(())
    })
    .await;
    let database = database(&shop).await;
    for email in twins {
        let customer = shop.customer(&gomall).await;
        customer.add("notebook", 1).await.expect(StatusCode::OK);
        check_out(&customer, email).await.expect(StatusCode::CREATED);
    }
    eventually("one recipient got them all within the hour", || async {
        let mails: Option<i32> = sqlx::query_scalar("select max(mails) from mails_of_an_hour")
            .fetch_one(&database)
            .await
            .ok()?;
        (mails == Some(3)).then_some(())
    })
    .await;
}

async fn check_out(customer: &Person, email: &str) -> Answer {
    let mut body = checkout_body(None);
    body["email"] = json!(email);
    customer.post_keyed("/api/v1/checkouts", &key(), &body).await
}

#[tokio::test]
async fn what_is_taken_for_an_address_gets_its_mail() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let customer = shop.customer(&gomall).await;
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    let long_label = format!("ann@{}.example", "a".repeat(64));
    for email in
        ["a..b@shop.example", "a.@shop.example", ".a@shop.example", "x@sub-.y", &long_label]
    {
        let answer = check_out(&customer, email).await;
        assert_eq!(
            answer.refused(422, "invalid_field")["errors"][0]["pointer"],
            "/email",
            "{email}"
        );
    }
    let placed = check_out(&customer, "anna@bücher.example").await;
    let order = &placed.expect(StatusCode::CREATED)["order"];
    assert_eq!(order["email"], "anna@xn--bcher-kva.example");
    eventually("a mail", || async {
        let mails = std::fs::read_dir(shop.data_dir.path().join("mail")).ok()?.flatten();
        let mut mails = mails.filter_map(|mail| std::fs::read_to_string(mail.path()).ok());
        mails.any(|mail| mail.contains("anna@xn--bcher-kva.example")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_account_of_before_signs_in_and_keeps_its_twins_out() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let account = sign_up(&shop.visitor(&gomall), "anna@xn--bcher-kva.example", PASSWORD).await;
    account.expect(StatusCode::CREATED);
    let beyond_ascii = sign_up(&shop.visitor(&gomall), "jorg@example.com", PASSWORD).await;
    beyond_ascii.expect(StatusCode::CREATED);
    gomall.terminate();
    // As the build before claimed them: in the spelling in which they were typed, only in lower case.
    let database = database(&shop).await;
    for (today, before) in [
        ("anna@xn--bcher-kva.example", "anna@bücher.example"),
        ("jorg@example.com", "jo\u{308}rg@example.com"),
    ] {
        for (table, column, prefix) in
            [("event_tags", "tag", "email:"), ("email_claims", "email", "")]
        {
            let changed =
                sqlx::query(&format!("update {table} set {column} = $1 where {column} = $2"))
                    .bind(format!("{prefix}{before}"))
                    .bind(format!("{prefix}{today}"))
                    .execute(&database)
                    .await;
            assert_eq!(changed.expect("a query").rows_affected(), 1);
        }
    }
    let gomall = shop.serve();
    let visitor = shop.visitor(&gomall);
    for (account, spellings) in [
        (&account, ["anna@bücher.example", "anna@xn--bcher-kva.example"]),
        (&beyond_ascii, ["jo\u{308}rg@example.com", "JÖRG@example.com"]),
    ] {
        for email in spellings {
            let theirs = sign_in(&visitor, email, PASSWORD).await;
            assert_eq!(theirs.expect(StatusCode::OK)["user"]["id"], account.body["user"]["id"]);
        }
    }
    for email in ["anna@bücher.example", "anna@xn--bcher-kva.example"] {
        sign_up(&visitor, email, PASSWORD).await.refused(409, "email_taken");
    }
}

#[tokio::test]
async fn every_text_is_kept_in_its_one_form_and_hides_nothing() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, customer) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let product = json!({
        "name": " Cafe\u{301} cup\u{a0}", "description": "A cup.\r\n", "categories": ["Kitchen"],
        "variants": [{"sku": "cafe-cup", "price": {"amount": 500, "currency": "USD"}}],
    });
    let ban = json!({"reason": "spam"});
    let rule = json!({
        "effect": "allow", "roles": ["staff"], "methods": ["GET"], "path": "/api/v1/x", "note": "a note",
    });
    let checkout = checkout_body(None);
    let user = format!("/api/v1/admin/users/{}/ban", customer.id());
    customer.add("notebook", 1).await.expect(StatusCode::OK);
    for (person, path, body, pointers) in [
        (&admin, "/api/v1/admin/products", &product, ["/name", "/description"].as_slice()),
        (&admin, &user, &ban, &["/reason"]),
        (&admin, "/api/v1/admin/permission-rules", &rule, &["/note"]),
        (
            &customer,
            "/api/v1/checkouts",
            &checkout,
            &[
                "/email",
                "/shipping_address/name",
                "/shipping_address/street",
                "/shipping_address/city",
            ],
        ),
    ] {
        for pointer in pointers {
            for unseen in UNSEEN {
                if (*pointer, unseen) == ("/description", "\n") {
                    continue;
                }
                let mut body = body.clone();
                let text = body.pointer_mut(pointer).expect("a member");
                *text = json!(format!("a{unseen}{}", text.as_str().expect("a text")));
                let answer = person.post_keyed(path, &key(), &body).await;
                let refused = answer.refused(422, "invalid_field");
                assert_eq!(
                    refused["errors"][0]["pointer"], *pointer,
                    "{unseen:?}: {}",
                    answer.text
                );
            }
        }
    }
    let created = admin.post_keyed("/api/v1/admin/products", &key(), &product).await;
    let created = created.expect(StatusCode::CREATED);
    assert_eq!((&created["name"], &created["description"]), (&json!("Café cup"), &json!("A cup.")));
    // What is invisible elsewhere is seen in what it does here.
    let visitor = shop.visitor(&gomall);
    for name in ["می‌خواهم", "👩🏽‍🚀", "葛\u{e0100}飾", "র‍্যাব"] {
        let email = format!("{}@example.com", new_id().simple());
        let body = json!({"email": email, "password": PASSWORD, "name": format!(" {name}\n")});
        let registered = visitor.post(REGISTER, &body).await;
        assert_eq!(registered.expect(StatusCode::CREATED)["user"]["name"], name);
    }
}

fn product(sku: &str, categories: &[&str]) -> Value {
    json!({
        "name": "Lamp", "description": "", "categories": categories,
        "variants": [{"sku": sku, "price": {"amount": 500, "currency": "USD"}}],
    })
}

#[tokio::test]
async fn categories_that_differ_in_case_only_are_one() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, visitor) = (shop.admin(&gomall).await, shop.visitor(&gomall));
    let mut position = 0;
    for (sku, categories) in [
        ("lamp-1", ["Lampe"].as_slice()),
        ("lamp-2", &["lampe"]),
        ("lamp-3", &["LAMPE", "Lampe", "lampe"]),
    ] {
        let created = admin.post_keyed(PRODUCTS, &key(), &product(sku, categories)).await;
        let created = created.expect(StatusCode::CREATED);
        assert_eq!(created["categories"], json!(["lampe"]));
        let id = created["id"].as_str().expect("an id");
        let published = admin.post(&format!("{PRODUCTS}/{id}/publish"), &json!({})).await;
        published.expect(StatusCode::OK);
        position = published.position();
    }
    let categories = visitor.get_once_at("/api/v1/categories", position).await;
    let items = categories.expect(StatusCode::OK)["items"].as_array().expect("a list");
    let lamps: Vec<_> = items
        .iter()
        .filter(|item| item["slug"].as_str().expect("a slug").eq_ignore_ascii_case("lampe"))
        .collect();
    assert_eq!(lamps, [&json!({"slug": "lampe", "name": "lampe", "product_count": 3})]);
    for named in ["Lampe", "lampe"] {
        let list =
            visitor.get_once_at(&format!("/api/v1/products?category={named}"), position).await;
        assert_eq!(
            list.expect(StatusCode::OK)["items"].as_array().map(Vec::len),
            Some(3),
            "{named}"
        );
    }
}

#[tokio::test]
async fn skus_that_differ_in_case_only_are_one() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, customer) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let created = admin.post_keyed(PRODUCTS, &key(), &product("Abc", &[])).await;
    let id = created.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
    assert_eq!(created.body["variants"][0]["sku"], "Abc");
    let path = format!("{PRODUCTS}/{id}");
    for twin in ["abc", "ABC", "Abc"] {
        let taken = admin.post_keyed(PRODUCTS, &key(), &product(twin, &[])).await;
        taken.refused(409, "sku_taken");
        // For its own product it is the same one.
        let headers = [("if-match", created.header("etag").expect("a version"))];
        let same = admin.send(Method::PUT, &path, &headers, Some(&product(twin, &[]))).await;
        assert_eq!(same.expect(StatusCode::OK)["variants"][0]["sku"], "Abc", "{twin}");
        let receive = json!({"quantity": 2, "reason": "counted"});
        let stock = format!("/api/v1/admin/stock/{twin}/receive");
        let received = admin.post_keyed(&stock, &key(), &receive).await;
        assert_eq!(received.expect(StatusCode::OK)["sku"], "Abc");
    }
    let mut both = product("Xyz", &[]);
    let twin = json!({"sku": "xyz", "price": {"amount": 500, "currency": "USD"}});
    both["variants"].as_array_mut().expect("a list").push(twin);
    admin.post_keyed(PRODUCTS, &key(), &both).await.refused(422, "duplicate_sku");

    let published = admin.post(&format!("{path}/publish"), &json!({})).await;
    published.expect(StatusCode::OK);
    customer.get_once_at(&format!("/api/v1/products/{id}"), published.position()).await;
    for sku in ["abc", "Abc", "ABC"] {
        customer.add(sku, 1).await.expect(StatusCode::OK);
    }
    let lines = "/api/v1/me/cart/lines";
    let set = customer.put(&format!("{lines}/aBC"), &json!({"quantity": 5})).await;
    let set = set.expect(StatusCode::OK)["lines"].as_array().expect("a list");
    assert_eq!((set.len(), &set[0]["sku"], &set[0]["quantity"]), (1, &json!("Abc"), &json!(5)));
    let placed = customer.check_out(&key(), Some("tok_ok")).await;
    let placed = placed.expect(StatusCode::CREATED);
    assert_eq!(placed["order"]["lines"][0]["sku"], "Abc");
    customer.add("abc", 1).await.expect(StatusCode::OK);
    let removed = customer.delete(&format!("{lines}/ABC")).await;
    assert_eq!(removed.expect(StatusCode::OK)["lines"], json!([]));
}

#[tokio::test]
async fn roles_that_differ_in_case_only_are_one() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let (admin, customer) = (shop.admin(&gomall).await, shop.customer(&gomall).await);
    let roles = format!("/api/v1/admin/users/{}/roles", customer.id());
    let granted = admin.post(&roles, &json!({"role": "Analyst"})).await;
    assert_eq!(granted.expect(StatusCode::OK)["roles"], json!(["analyst", "customer"]));
    customer.get("/api/v1/events?limit=1").await.expect(StatusCode::OK);
    let twice = admin.post(&roles, &json!({"role": "ANALYST"})).await;
    assert_eq!(twice.expect(StatusCode::OK)["roles"], json!(["analyst", "customer"]));
    let removed = admin.delete(&format!("{roles}/anaLyst")).await;
    assert_eq!(removed.expect(StatusCode::OK)["roles"], json!(["customer"]));
    admin.post(&roles, &json!({"role": "Authenticated"})).await.refused(422, "role_reserved");
    // Whoever loses a role of the staff is signed out.
    let customer = shop.sign_in(&gomall, &customer).await;

    let rule = json!({
        "effect": "allow", "roles": ["Packer"], "methods": ["GET"], "path": "/api/v1/admin/stock", "note": "",
    });
    let added = admin.post("/api/v1/admin/permission-rules", &rule).await;
    assert_eq!(added.expect(StatusCode::CREATED)["roles"], json!(["packer"]));
    customer.get("/api/v1/admin/stock").await.refused(403, "forbidden");
    admin.post(&roles, &json!({"role": "PACKER"})).await.expect(StatusCode::OK);
    customer.get("/api/v1/admin/stock").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_postal_code_and_a_state_are_asked_for_where_the_country_has_them() {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let customer = shop.customer(&gomall).await;
    let body = |country: &str, more: Value| {
        let mut body = checkout_body(None);
        let address = body["shipping_address"].as_object_mut().expect("an object");
        address.remove("zip");
        address.insert("country".to_owned(), json!(country));
        address.extend(more.as_object().cloned().expect("members"));
        body
    };
    let checkouts = "/api/v1/checkouts";
    for (country, more, member) in [
        ("DE", json!({}), "zip"),
        ("DE", json!({"zip": ""}), "zip"),
        ("GB", json!({"zip": null}), "zip"),
        ("GB", json!({"zip": " \n"}), "zip"),
        ("US", json!({"zip": "94043"}), "state"),
        ("CA", json!({"zip": "K1A 0B1", "state": ""}), "state"),
    ] {
        customer.add("mascot", 1).await.expect(StatusCode::OK);
        for path in [checkouts, "/api/v1/checkouts/quote"] {
            let refused = customer.post_keyed(path, &key(), &body(country, more.clone())).await;
            let error = &refused.refused(422, "missing_field")["errors"][0];
            let pointer = format!("/shipping_address/{member}");
            assert_eq!(
                (&error["pointer"], &error["code"]),
                (&json!(pointer), &json!("missing_field"))
            );
        }
    }
    for (country, more, zip) in [
        ("HK", json!({}), None),
        ("AE", json!({"zip": ""}), None),
        ("QA", json!({"zip": null}), None),
        ("HK", json!({"zip": " 999077 "}), Some("999077")),
        ("DE", json!({"zip": "01067"}), Some("01067")),
        ("US", json!({"zip": "94043", "state": "CA"}), Some("94043")),
    ] {
        customer.add("mascot", 1).await.expect(StatusCode::OK);
        let placed = customer.post_keyed(checkouts, &key(), &body(country, more)).await;
        let order = &placed.expect(StatusCode::CREATED)["order"];
        assert_eq!(order["shipping_address"].get("zip").and_then(Value::as_str), zip, "{country}");
        let path = format!("/api/v1/orders/{}", order["id"].as_str().expect("an id"));
        let shown = customer.get_once_at(&path, placed.position()).await;
        assert_eq!(shown.expect(StatusCode::OK)["shipping_address"], order["shipping_address"]);
    }
}
