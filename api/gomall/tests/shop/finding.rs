//! Finding products: what people type, and in which order they get what they find.

use crate::support::{Gomall, Person, Shop, key};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A shop with these products on sale beside the sample ones, who visits it, and its administrator. A product is its
/// name and its prices, a variant each, whose SKUs are the name's place and their own.
async fn selling(products: &[(&str, &[(i64, &str)])]) -> (Shop, Gomall, Person, Person) {
    let shop = Shop::new().await;
    let gomall = shop.serve();
    let admin = shop.admin(&gomall).await;
    for (place, (name, prices)) in products.iter().enumerate() {
        let variants = prices.iter().enumerate().map(|(nth, (amount, currency))| {
            let sku = format!("find_{place}-{nth}");
            json!({"sku": sku, "price": {"amount": amount, "currency": currency}})
        });
        let product = json!({
            "name": name, "description": "", "categories": ["Found"],
            "variants": variants.collect::<Vec<_>>(),
        });
        let created = admin.post_keyed("/api/v1/admin/products", &key(), &product).await;
        let id = created.expect(StatusCode::CREATED)["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/admin/products/{id}/publish");
        let published = admin.post(&path, &json!({})).await;
        published.expect(StatusCode::OK);
        admin.get_once_at("/api/v1/products", published.position()).await.expect(StatusCode::OK);
    }
    let visitor = shop.visitor(&gomall);
    (shop, gomall, visitor, admin)
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list").iter();
    items.filter_map(|item| item["name"].as_str()).map(str::to_owned).collect()
}

async fn list(who: &Person, path: &str, query: &[(&str, &str)]) -> Vec<String> {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let answer = who.get(&format!("{path}?{}", query.join("&"))).await;
    names(answer.expect(StatusCode::OK))
}

#[tokio::test]
async fn products_are_found_by_what_people_type() {
    let usd: &[(i64, &str)] = &[(500, "USD")];
    let (_shop, _gomall, visitor, admin) = selling(&[
        ("Cafe mug", usd),
        ("Café cup", usd),
        ("Cílios postiços", usd),
        ("Öl", usd),
        ("Cafe\u{301} tray", usd),
        ("Carry bag", usd),
        ("ﾊﾞｯｸﾞ", usd),
        ("书包", usd),
        ("기차표", usd),
        ("가방", usd),
        ("★ ★ ★ ★ Lamp", usd),
        ("Straßenschild", usd),
    ])
    .await;
    let all_cafes: &[&str] = &["Cafe mug", "Café cup", "Café tray"];
    for (typed, expected) in [
        ("cafe", all_cafes),
        ("café", all_cafes),
        ("cafe\u{301}", all_cafes),
        ("CAFÉ", all_cafes),
        ("cfae", all_cafes),
        ("cilios", &["Cílios postiços"]),
        ("cílios", &["Cílios postiços"]),
        ("ol", &["Öl"]),
        ("ｃａｒｒｙ", &["Carry bag"]),
        ("--------carry", &["Carry bag"]),
        ("carry        bag", &["Carry bag"]),
        ("carry        mug", &[]),
        ("バッグ", &["ﾊﾞｯｸﾞ"]),
        ("包", &["书包"]),
        ("표", &["기차표"]),
        ("방", &["가방"]),
        ("★ ★ ★ ★ Lamp", &["★ ★ ★ ★ Lamp"]),
        ("strassenschild", &["Straßenschild"]),
        // Of "Notebook", which is a sample: mistyped before it is whole.
        ("motebo", &["Notebook"]),
        ("find_5-0", &["Carry bag"]),
        ("FIND_5", &["Carry bag"]),
    ] {
        for (who, path) in [(&visitor, "/api/v1/products"), (&admin, "/api/v1/admin/products")] {
            let found = list(who, path, &[("q", typed)]).await;
            // A name that came decomposed is shown as it is kept, whichever that is.
            let mut found: Vec<String> =
                found.iter().map(|name| name.replace("e\u{301}", "é")).collect();
            found.sort();
            assert_eq!(found, expected, "{path} {typed}");
        }
    }
    let suggested = visitor.get("/api/v1/search/suggest?q=strassensc").await;
    assert_eq!(suggested.expect(StatusCode::OK)["items"], json!(["Straßenschild"]));
}

#[tokio::test]
async fn names_sort_as_languages_do_and_numbers_in_them_by_value() {
    let usd: &[(i64, &str)] = &[(500, "USD")];
    let (_shop, _gomall, visitor, _admin) = selling(&[
        ("Zebra", usd),
        ("Lamp 10", usd),
        ("lamp 2", usd),
        ("Äpfel", usd),
        ("Éclair", usd),
        ("Öl", usd),
        ("apple", usd),
    ])
    .await;
    let sorted = ["Äpfel", "apple", "Éclair", "lamp 2", "Lamp 10", "Öl", "Zebra"];
    let found =
        list(&visitor, "/api/v1/products", &[("category", "Found"), ("sort", "name")]).await;
    assert_eq!(found, sorted);
    // The pages of any size are the same list.
    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let path = format!("/api/v1/products?category=Found&sort=name&limit=2{cursor}");
        let page = visitor.get(&path).await;
        paged.extend(names(page.expect(StatusCode::OK)));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, sorted);
    // One that an older build gave out: {"key":{"Name":"mug"},"number":1,…}.
    let old = "eyJrZXkiOnsiTmFtZSI6Im11ZyJ9LCJudW1iZXIiOjEsInByb2R1Y3RfaWQiOiIwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDEifQ";
    let refused = visitor.get(&format!("/api/v1/products?sort=name&cursor={old}")).await;
    refused.refused(422, "invalid_parameter");
}

#[tokio::test]
async fn prices_are_compared_within_one_currency() {
    let (shop, _gomall, visitor, admin) = selling(&[
        ("A", &[(100, "USD"), (9_000, "EUR")]),
        ("B", &[(500, "EUR")]),
        ("C", &[(700, "EUR"), (300, "USD"), (200, "USD")]),
    ])
    .await;
    let sorted = async |who: &Person, query: &[(&str, &str)]| {
        let query = [&[("category", "Found")], query].concat();
        let path = match who.token {
            Some(_) => "/api/v1/admin/products",
            None => "/api/v1/products",
        };
        list(who, path, &query).await
    };
    for who in [&visitor, &admin] {
        let euro = ("currency", "EUR");
        assert_eq!(sorted(who, &[euro, ("sort", "price")]).await, ["B", "C", "A"]);
        assert_eq!(sorted(who, &[euro, ("sort", "-price")]).await, ["A", "C", "B"]);
        let dollar = ("currency", "USD");
        assert_eq!(sorted(who, &[dollar, ("sort", "price")]).await, ["A", "C"]);
        // The shop's first, which nobody has set: what has no price in it comes last both ways.
        assert_eq!(sorted(who, &[("sort", "price")]).await, ["A", "C", "B"]);
        assert_eq!(sorted(who, &[("sort", "-price")]).await, ["C", "A", "B"]);
    }
    let page = visitor.get("/api/v1/products?currency=EUR&sort=price&limit=1").await;
    let cursor = page.expect(StatusCode::OK)["next_cursor"].as_str().expect("there are more");
    let next = format!("/api/v1/products?currency=EUR&sort=price&limit=1&cursor={cursor}");
    assert_eq!(names(visitor.get(&next).await.expect(StatusCode::OK)), ["C"]);
    let other = format!("/api/v1/products?currency=USD&sort=price&cursor={cursor}");
    visitor.get(&other).await.refused(422, "invalid_parameter");

    // A shop whose first currency is another one.
    let euros = shop.serve_with(&[("GOMALL_CURRENCY", "EUR")]);
    let visitor = shop.visitor(&euros);
    assert_eq!(sorted(&visitor, &[("sort", "price")]).await, ["B", "C", "A"]);
    assert_eq!(
        visitor.send(Method::GET, "/api/v1/products?sort=price&limit=3", &[], None).await.body["items"]
            [0]["name"],
        "B"
    );
}
