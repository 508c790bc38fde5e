use super::{HttpProvider, InvalidProvider, MAX_ANSWER_BYTES};
use commands::payments::{Charge, PaymentProvider, ProviderAnswer};
use domain::{Currency, Money};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

const PAYMENT: Uuid = Uuid::from_u128(7);

/// More than any request here is long.
const MAX_REQUEST_BYTES: usize = 4_096;

/// A server that answers every request with the same bytes and hangs up.
async fn answering(answer: String) -> HttpProvider {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; MAX_REQUEST_BYTES];
            let mut length = 0;
            while !is_complete(&request[..length]) {
                match stream.read(&mut request[length..]).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => length += read,
                }
            }
            // A client that has seen enough may be gone already.
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    HttpProvider::new(&format!("http://{address}")).expect("an address")
}

/// Bodies here are JSON objects, or there is none.
fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
        !head.contains("content-type: application/json") || body.ends_with('}')
    })
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// A 200 about our payment.
fn state(fields: &str) -> String {
    response("200 OK", &format!("{{\"id\":\"{PAYMENT}\",{fields}}}"))
}

fn charge() -> Charge {
    Charge {
        payment_id: PAYMENT.into(),
        order_id: Uuid::from_u128(8).into(),
        amount: Money::new(990, Currency::USD).expect("in range"),
        method: "card".to_owned(),
        token: "tok_ok".to_owned(),
    }
}

/// The three calls in the order charge, query, cancel.
async fn ask(provider: &HttpProvider) -> [ProviderAnswer; 3] {
    [
        provider.charge(charge()).await,
        provider.query(PAYMENT.into()).await,
        provider.cancel(PAYMENT.into()).await,
    ]
}

fn each(answer: ProviderAnswer) -> [ProviderAnswer; 3] {
    [answer.clone(), answer.clone(), answer]
}

#[tokio::test]
async fn what_the_provider_says_about_a_payment_is_taken_over() {
    let amount = Money::new(990, Currency::USD).expect("in range");
    let url = "https://bank.example/confirm".to_owned();
    for (fields, expected) in [
        (r#""status":"authorized""#, ProviderAnswer::Authorized),
        (r#""status":"pending","new":1"#, ProviderAnswer::Pending),
        (r#""status":"voided","amount":null"#, ProviderAnswer::Voided),
        (
            r#""status":"captured","amount":990,"currency":"USD""#,
            ProviderAnswer::Captured { amount },
        ),
        (
            r#""status":"action_required","url":"https://bank.example/confirm""#,
            ProviderAnswer::ActionRequired { url },
        ),
        (
            r#""status":"declined","code":"card_declined""#,
            ProviderAnswer::Declined { code: "card_declined".to_owned() },
        ),
        (
            r#""status":"declined","code":"<script>""#,
            ProviderAnswer::Declined { code: "unspecified".to_owned() },
        ),
    ] {
        let provider = answering(state(fields)).await;
        assert_eq!(ask(&provider).await, each(expected), "{fields}");
    }
}

#[tokio::test]
async fn a_capture_is_heard_whatever_stands_where_an_amount_should() {
    for (fields, said) in [
        ("", "null null"),
        (r#","amount":-1,"currency":"USD""#, r#"-1 "USD""#),
        (r#","amount":1,"currency":"usd""#, r#"1 "usd""#),
        (r#","amount":9.5,"currency":"USD""#, r#"9.5 "USD""#),
        (r#","amount":"990","currency":"USD""#, r#""990" "USD""#),
        (r#","amount":1000000000001,"currency":"USD""#, r#"1000000000001 "USD""#),
        (r#","amount":99999999999999999999,"currency":"USD""#, r#"1e+20 "USD""#),
        (r#","amount":[1],"currency":{"code":"€"}"#, r#"[1] {"code":""}"#),
    ] {
        let provider = answering(state(&format!(r#""status":"captured"{fields}"#))).await;
        let expected = ProviderAnswer::CapturedUnreadable { said: said.to_owned() };
        assert_eq!(ask(&provider).await, each(expected), "{fields}");
    }
    let long = "9".repeat(1_000);
    let provider = answering(state(&format!(r#""status":"captured","currency":"{long}""#))).await;
    let ProviderAnswer::CapturedUnreadable { said } = provider.query(PAYMENT.into()).await else {
        panic!("it was captured");
    };
    assert_eq!(said.len(), 64);
}

#[tokio::test]
async fn what_is_not_understood_is_no_answer() {
    let long = format!(r#""status":"voided","code":"{}""#, "x".repeat(MAX_ANSWER_BYTES));
    for answer in [
        state(r#""status":"refunded_perhaps""#),
        state(r#""status":"action_required","url":"/relative""#),
        state(r#""status":"action_required","url":"javascript:alert(1)""#),
        state(&long),
        response("200 OK", r#"{"id":"00000000-0000-0000-0000-000000000009","status":"voided"}"#),
        response("200 OK", "<html>"),
        response("404 Not Found", "<html>no such page</html>"),
        response("404 Not Found", r#"{"code":"unknown_path"}"#),
        response("422 Unprocessable Entity", r#"{"code":"invalid_field"}"#),
        response("500 Internal Server Error", r#"{"code":"unavailable"}"#),
        response("503 Service Unavailable", "upstream connect error"),
        response("503 Service Unavailable", r#"{"code":"overloaded"}"#),
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"".to_owned(),
        "not HTTP".to_owned(),
        String::new(),
    ] {
        let provider = answering(answer.clone()).await;
        assert_eq!(ask(&provider).await, each(ProviderAnswer::NoAnswer), "{answer}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = answering(state(r#""status":"voided""#)).await;
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        elsewhere.payment_url(PAYMENT.into())
    );
    let provider = answering(answer).await;
    assert_eq!(ask(&provider).await, each(ProviderAnswer::NoAnswer));
}

#[tokio::test]
async fn only_a_question_can_be_answered_with_not_found() {
    let provider = answering(response("404 Not Found", r#"{"code":"not_found"}"#)).await;
    let (unknown, open) = (ProviderAnswer::NotFound, ProviderAnswer::NoAnswer);
    assert_eq!(ask(&provider).await, [open.clone(), unknown, open]);
}

/// "Nothing was charged" follows from an unheard charge, never from an unheard question.
#[tokio::test]
async fn only_a_charge_can_be_answered_with_unavailable() {
    let expected =
        [ProviderAnswer::Unavailable, ProviderAnswer::NoAnswer, ProviderAnswer::NoAnswer];
    let provider =
        answering(response("503 Service Unavailable", r#"{"code":"unavailable"}"#)).await;
    assert_eq!(ask(&provider).await, expected);

    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = closed.local_addr().expect("it is bound");
    drop(closed);
    let provider = HttpProvider::new(&format!("http://{address}")).expect("an address");
    assert_eq!(ask(&provider).await, expected);
}

#[test]
fn an_address_is_http_and_carries_nothing_secret() {
    for good in ["http://127.0.0.1:4001", "https://pay.example.com/sandbox/"] {
        assert!(HttpProvider::new(good).is_ok(), "{good}");
    }
    for bad in ["", "pay.example.com", "ftp://pay.example.com", "http://u:p@h", "http://h/?key=1"] {
        let refused = HttpProvider::new(bad);
        assert!(matches!(refused, Err(InvalidProvider::Address)), "{bad}");
    }
    let provider = HttpProvider::new("https://pay.example.com/v/").expect("an address");
    assert_eq!(
        format!("{provider:?}"),
        r#"HttpProvider { base_url: "https://pay.example.com/v", .. }"#
    );
}
