use super::super::params::*;
use super::*;
use axum::extract::FromRequestParts;
use axum::http::Request;
use domain::Currency;

async fn params(query: &str) -> Result<ProductListParams, &'static str> {
    let request = Request::get(format!("/api/v1/products?{query}")).body(()).expect("a request");
    let (mut parts, ()) = request.into_parts();
    let params = Params::from_request_parts(&mut parts, &()).await;
    params.map(|Params(params)| params).map_err(|problem| problem.code())
}

#[tokio::test]
async fn what_is_asked_for_is_checked() {
    let some = params("category=T-Shirt&q=cat%20toys&sort=-price&currency=USD&limit=5").await;
    let some = some.expect("legal parameters");
    assert_eq!(some.category.map(|slug| slug.to_string()).as_deref(), Some("t-shirt"));
    assert_eq!(some.q.map(|SearchText(text)| text).as_deref(), Some("cat toys"));
    assert!(matches!(some.sort, Some(Sort::PriceDescending)));
    assert_eq!(some.currency, Some(Currency::USD));
    assert_eq!(some.limit.get(), 5);
    let long = format!("q={}", "x".repeat(MAX_SEARCH_CHARS + 1));
    for bad in [
        "category=a/b",
        "sort=best",
        "sort=price-",
        "currency=usd",
        "currency=XXX",
        "limit=0",
        "limit=101",
        "limit=x",
        "page=2",
        "status=draft",
        "q=a&q=b",
        &long,
    ] {
        assert_eq!(params(bad).await.err(), Some("invalid_parameter"), "{bad}");
    }
}

#[tokio::test]
async fn an_empty_parameter_counts_as_none() {
    let none = params("category=&q=&sort=&currency=").await.expect("a form sends all its fields");
    assert!(none.category.is_none() && none.q.is_none());
    assert!(none.sort.is_none() && none.currency.is_none());
}

#[test]
fn a_number_has_one_spelling() {
    assert_eq!(number("7"), Some(7));
    assert_eq!(number("2147483647"), Some(i32::MAX));
    for other in ["0", "-7", "+7", "07", "7.0", "2147483648", "", "x"] {
        assert_eq!(number(other), None, "{other}");
    }
}
