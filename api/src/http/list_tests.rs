use super::*;
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
struct Key {
    price: i64,
    id: u32,
}

fn limit(limit: u32) -> Limit {
    serde_json::from_value(json!(limit)).expect("a legal limit")
}

#[test]
fn a_full_page_with_a_surplus_row_has_a_next_page() {
    let page = List::page(vec![1, 2, 3], limit(2), |id| Key { price: 9, id: *id });
    let page = page.expect("plain data serializes");
    assert_eq!(page.items, [1, 2]);
    let cursor: Cursor<Key> =
        serde_json::from_value(json!(page.next_cursor)).expect("our own cursor");
    assert_eq!(cursor.0, Key { price: 9, id: 2 });
}

#[test]
fn the_last_page_has_no_next() {
    let page = List::page(vec![1, 2], limit(2), |id| *id).expect("plain data serializes");
    assert_eq!(serde_json::to_value(page).expect("a page"), json!({"items": [1, 2], "next_cursor": null}));
    let empty = List::page(Vec::<u32>::new(), limit(2), |id| *id).expect("plain data serializes");
    assert_eq!(serde_json::to_value(empty).expect("a page"), json!({"items": [], "next_cursor": null}));
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let foreign = |text: String| serde_json::from_value::<Cursor<Key>>(json!(text)).is_err();
    for text in ["", "x", "%%%", "e30", "bnVsbA", "eyJwcmljZSI6MX0="] {
        assert!(foreign(text.to_owned()), "{text}");
    }
    let unknown_member = BASE64_URL_SAFE_NO_PAD.encode(r#"{"price":1,"id":1,"x":1}"#);
    assert!(foreign(unknown_member));
    assert!(foreign("A".repeat(MAX_CURSOR_CHARS + 1)));
}
