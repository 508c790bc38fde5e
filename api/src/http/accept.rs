//! Headers that list what a caller takes, with weights (RFC 9110, section 12.4): `Accept`, `Accept-Encoding`,
//! `Accept-Language`.

use axum::http::{HeaderMap, HeaderName};

/// The most that such a header may list; what follows is not looked at. Browsers list a dozen.
const MAX_RANGES: usize = 32;

/// What is listed, in its order, with the weight in thousandths; zero means "not this one". What is not written by
/// the grammar is left out, and leaves the rest as it is.
pub(crate) fn ranges<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<(&'a str, u16)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).take(MAX_RANGES).filter_map(range).collect()
}

/// The weight of the first of `names` that is listed; of several entries for it the largest. Capitals do not count.
pub(crate) fn weight(ranges: &[(&str, u16)], names: &[&str]) -> Option<u16> {
    names.iter().find_map(|name| {
        let listed = ranges.iter().filter(|(range, _)| range.eq_ignore_ascii_case(name));
        listed.map(|(_, weight)| *weight).max()
    })
}

/// `range [ OWS ";" OWS "q=" qvalue ]`. Other parameters are skipped: what they say concerns nobody here.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    let range = parts.next().filter(|range| !range.is_empty())?;
    let mut weights = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("q").then_some(value)
    });
    Some((range, weights.next().map_or(Some(1000), qvalue)?))
}

/// `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`, in thousandths.
fn qvalue(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let are_decimals = decimals.len() <= 3 && decimals.bytes().all(|digit| digit.is_ascii_digit());
    if !are_decimals || !matches!(whole, "0" | "1") {
        return None;
    }
    let thousandths = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;

    fn listed(value: &str, name: &str) -> Option<u16> {
        let headers = HeaderMap::from_iter([(ACCEPT, value.parse::<HeaderValue>().expect("text"))]);
        weight(&ranges(&headers, &ACCEPT), &[name])
    }

    #[test]
    fn weights_are_read_by_the_grammar() {
        for (value, weight) in [
            ("a", Some(1000)),
            ("A", Some(1000)),
            ("a;q=0.5", Some(500)),
            ("a;Q=0.5", Some(500)),
            ("a \t; \tq=0.25", Some(250)),
            ("a;charset=utf-8;q=0.125", Some(125)),
            ("a;q=0.7;x=1", Some(700)),
            ("a;q=1.", Some(1000)),
            ("a;q=1.000", Some(1000)),
            ("a;q=0", Some(0)),
            ("b, a;q=0.1, a;q=0.2", Some(200)),
            ("b", None),
            ("", None),
            (",;q=1,", None),
            ("a;q=", None),
            ("a;q=1.001", None),
            ("a;q=0.0000", None),
            ("a;q=2", None),
            ("a;q=+0.9", None),
            ("a;q=NaN", None),
            ("a;q=inf", None),
            ("a;q=.5", None),
        ] {
            assert_eq!(listed(value, "a"), weight, "{value:?}");
        }
    }

    #[test]
    fn what_follows_a_long_list_is_not_looked_at() {
        assert_eq!(listed(&format!("{}a", "b,".repeat(MAX_RANGES - 1)), "a"), Some(1000));
        assert_eq!(listed(&format!("{}a", "b,".repeat(MAX_RANGES)), "a"), None);
    }
}
