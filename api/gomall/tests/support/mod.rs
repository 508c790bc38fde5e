//! A shop as its users meet it: real servers, real `gomall` processes, HTTP.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod process;
pub(crate) mod tempdir;

pub(crate) use process::{Gomall, command};

use compose::Stack;
use compose::testing::{Durability, eventually, private};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// The longest that anything in these tests may take to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An id that nobody has, of chance from its first bit to its last: addresses, keys and secrets are made of it.
#[expect(clippy::disallowed_methods, reason = "the test is its own composition root")]
pub(crate) fn new_id() -> uuid::Uuid {
    uuid::Uuid::new_v4()
}

/// Private servers and one or more `gomall serve` on them.
pub(crate) struct Shop {
    pub(crate) stack: Stack,
    pub(crate) data_dir: tempdir::TempDir,
    pub(crate) admin_password: String,
}

thread_local! {
    /// A connection belongs to the runtime that opened it, and each test has a thread and a runtime of its own;
    /// a shop may be shared.
    static CLIENT: reqwest::Client =
        reqwest::Client::builder().no_proxy().build().expect("a plain client");
}

impl Shop {
    /// Servers, a migrated database with the sample catalogue, an administrator.
    pub(crate) async fn new() -> Self {
        let stack = private(Durability::Volatile).await;
        stack.postgres.create_database("gomall").await.expect("a fresh cluster");
        let shop = Self { stack, data_dir: tempdir::TempDir::new(), admin_password: String::new() };
        shop.run(&["migrate"]);
        shop.run(&["seed"]);
        let said = shop.run(&["admin", "create", "admin@example.com"]);
        let password = said
            .split_whitespace()
            .last()
            .expect("the password is the last word that is said")
            .to_owned();
        Self { admin_password: password, ..shop }
    }

    /// `gomall <arguments>` on these servers.
    pub(crate) fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> Command {
        let (database_url, nats_url) = (self.stack.postgres.url("gomall"), self.stack.nats.url());
        let mut environment = vec![
            ("DATABASE_URL", database_url.as_str()),
            ("NATS_URL", nats_url.as_str()),
            ("GOMALL_DATA_DIR", self.data_dir.text()),
        ];
        environment.extend(more);
        command(arguments, &environment)
    }

    /// Runs a short command to its end and gives what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let (success, said) = self.try_run(arguments);
        assert!(success, "gomall {arguments:?}: {said}");
        said
    }

    /// Whether a short command succeeded, and what it printed.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.command(arguments, &[]).output().expect("the binary was built");
        (output.status.success(), String::from_utf8(output.stdout).expect("it prints UTF-8"))
    }

    /// One more `gomall serve` on a free port.
    pub(crate) fn serve(&self) -> Gomall {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, more: &[(&str, &str)]) -> Gomall {
        Gomall::spawn(self.command(&["serve", "--http", "127.0.0.1:0"], more)).ready()
    }

    /// `gomall <role>`, one that is one worker, with a free port for the operator.
    pub(crate) fn worker(&self, role: &str) -> Gomall {
        Gomall::spawn(self.command(&[role, "--metrics", "127.0.0.1:0"], &[])).ready()
    }

    /// Somebody without a token.
    pub(crate) fn visitor(&self, gomall: &Gomall) -> Person {
        Person::new(&gomall.url, None)
    }

    pub(crate) async fn admin(&self, gomall: &Gomall) -> Person {
        let login = json!({"email": "admin@example.com", "password": self.admin_password});
        let answer = self.visitor(gomall).post("/api/v1/auth/login", &login).await;
        answer.expect(StatusCode::OK);
        Person::new(&gomall.url, Some(&answer.body))
    }

    /// The same customer, signed in anew.
    pub(crate) async fn sign_in(&self, gomall: &Gomall, customer: &Person) -> Person {
        let login = json!({"email": customer.user["email"], "password": PASSWORD});
        let answer = self.visitor(gomall).post("/api/v1/auth/login", &login).await;
        answer.expect(StatusCode::OK);
        Person::new(&gomall.url, Some(&answer.body))
    }

    /// A fresh customer.
    pub(crate) async fn customer(&self, gomall: &Gomall) -> Person {
        let email = format!("{}@example.com", new_id().simple());
        let register = json!({"email": email, "password": PASSWORD});
        let answer = self.visitor(gomall).post("/api/v1/auth/register", &register).await;
        answer.expect(StatusCode::CREATED);
        Person::new(&gomall.url, Some(&answer.body))
    }
}

/// The password of everybody who is no administrator.
pub(crate) const PASSWORD: &str = "a quite long password";

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Person {
    client: reqwest::Client,
    url: String,
    pub(crate) token: Option<String>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) user: Value,
}

/// An answer, read.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(&self, status: StatusCode) -> &Value {
        assert_eq!(self.status, status, "{}", self.text);
        &self.body
    }

    /// A refusal with this status and stable code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> &Value {
        assert_eq!(
            (self.status.as_u16(), self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert!(is_known(code), "docs/errors.md does not have {code}");
        &self.body
    }

    /// What the answer lists.
    #[track_caller]
    pub(crate) fn items(&self) -> &[Value] {
        self.expect(StatusCode::OK)["items"].as_array().expect("a list")
    }

    /// The id of what was made.
    #[track_caller]
    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("an id: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn position(&self) -> u64 {
        self.header("gomall-position")
            .and_then(|text| text.parse().ok())
            .expect("a command's answer has a position")
    }
}

/// Whether the table of error codes has it.
fn is_known(code: &str) -> bool {
    static TABLE: LazyLock<String> = LazyLock::new(|| {
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
        std::fs::read_to_string(table).expect("the tests over the documents write it")
    });
    TABLE.contains(&format!("\n| `{code}` |"))
}

impl Person {
    fn new(url: &str, signed_in: Option<&Value>) -> Self {
        let text = |name: &str| signed_in.and_then(|body| body[name].as_str()).map(str::to_owned);
        Self {
            client: CLIENT.with(Clone::clone),
            url: url.to_owned(),
            token: text("access_token"),
            refresh_token: text("refresh_token"),
            user: signed_in.map_or(Value::Null, |body| body["user"].clone()),
        }
    }

    /// The same person at another process.
    pub(crate) fn at(&self, gomall: &Gomall) -> Self {
        Self { url: gomall.url.clone(), ..self.clone() }
    }

    /// The same person with another client: from another address.
    pub(crate) fn from(&self, client: reqwest::Client) -> Self {
        Self { client, ..self.clone() }
    }

    /// The same person with another access token, or with none.
    pub(crate) fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }

    pub(crate) fn id(&self) -> &str {
        self.user["id"].as_str().expect("a signed-in person")
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut headers = headers.to_vec();
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(|body| body.to_string().into_bytes());
        self.send_bytes(method, path, &headers, body).await
    }

    /// As [`Person::send`], with whatever bytes as the body; the headers say what they are.
    pub(crate) async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.expect("the shop answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the whole answer arrives");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, body, text }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    /// Reads what was written up to `position`.
    pub(crate) async fn get_after(&self, path: &str, position: u64) -> Answer {
        self.send(Method::GET, path, &[("gomall-position", &position.to_string())], None).await
    }

    /// As [`Person::get_after`], coming back for as long as the shop says that it is not there yet.
    pub(crate) async fn get_once_at(&self, path: &str, position: u64) -> Answer {
        eventually("what was written can be read", || async {
            let answer = self.get_after(path, position).await;
            (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
        })
        .await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], None).await
    }

    pub(crate) async fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("idempotency-key", key)], Some(body)).await
    }

    /// Waits until a line is among the metrics.
    pub(crate) async fn shows(&self, line: &str) {
        eventually(line, || async {
            let metrics = self.get("/metrics").await.text;
            metrics.lines().any(|found| found == line).then_some(())
        })
        .await;
    }

    /// Puts pieces into the cart.
    pub(crate) async fn add(&self, sku: &str, quantity: u32) -> Answer {
        self.post("/api/v1/me/cart/lines", &json!({"sku": sku, "quantity": quantity})).await
    }

    /// Checks out, paying with `token` at once if there is one.
    pub(crate) async fn check_out(&self, key: &str, token: Option<&str>) -> Answer {
        self.post_keyed("/api/v1/checkouts", key, &checkout_body(token)).await
    }
}

pub(crate) fn checkout_body(token: Option<&str>) -> Value {
    let mut body = json!({
        "email": "customer@example.com",
        "shipping_address": {
            "name": "Ada Lovelace", "street": "12 St James's Square", "city": "London",
            "zip": "01234", "country": "GB",
        },
    });
    if let Some(token) = token {
        body["payment"] = json!({"method": "card", "token": token});
    }
    body
}

/// A key that nobody has used.
pub(crate) fn key() -> String {
    new_id().to_string()
}
