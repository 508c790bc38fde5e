//! One spelling a path: whatever a proxy, a router or a rule could read in another way is refused.
//!
//! Sent as bytes, because clients put paths right before they send them.

use super::Scene;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Spellings of a path that somebody may reach, and of one that only staff may: refused to all
/// alike.
const MALFORMED: [&str; 26] = [
    "//admin",
    "//api/v1/products",
    "/api//v1/products",
    "/%61dmin",
    "/api/v1/%61dmin/products",
    "/api/v1/admin/products/",
    "/api/v1/admin/",
    "/api/v1/products/",
    "/api/v1/admin;x",
    "/api/v1/admin/products;x=1",
    "/api/v1/products;/../admin/products",
    "/api/v1/orders/..%2fadmin",
    "/api/v1/products/..%2fadmin%2fproducts",
    "/api/v1/products/%2e%2e/admin/products",
    "/api/v1/products/../admin/products",
    "/api/v1/./products",
    "/api/v1/products/.",
    "/api/v1/products/..",
    "/api/v1/products%2f",
    "/api/v1/products%00",
    "/api/v1/products%20",
    "/api/v1/products%3fq=1",
    "/api/v1/products+x",
    "/api/v1/products:x",
    "/api/v1/products@x",
    "/docs/",
];

pub(crate) async fn a_path_has_one_spelling(scene: &Scene) {
    let host = scene.gomall.url.trim_start_matches("http://");
    let token = scene.admin.token.as_deref().expect("the administrator is signed in");
    for path in MALFORMED {
        for authorization in ["", "authorization: Bearer nonsense\r\n"] {
            let answer = send(host, path, authorization);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
            assert!(answer.contains("application/problem+json"), "{path}: {answer}");
            assert!(answer.contains("\"code\":\"malformed_path\""), "{path}: {answer}");
        }
        let answer = send(host, path, &format!("authorization: Bearer {token}\r\n"));
        assert!(answer.contains("\"code\":\"malformed_path\""), "{path}: {answer}");
    }
    // The query is no part of it, and may hold what it likes.
    let answer = send(host, "/api/v1/products?q=..%2f//;", "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The form that is meant for proxies names the same path.
    let answer = send(host, &format!("http://{host}/api/v1/products"), "");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = send(host, &format!("http://{host}//api/v1/products"), "");
    assert!(answer.contains("\"code\":\"malformed_path\""), "{answer}");
    // What is no path at all is refused before we see it.
    for nothing in ["/api/v1/products\\..\\admin", "/a b", "/<script>", "admin"] {
        let answer = send(host, nothing, "");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{nothing}: {answer}");
    }
}

fn send(host: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(host).expect("the shop listens");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{header}connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the head is taken");
    let mut answer = vec![];
    stream.read_to_end(&mut answer).expect("the shop answers and closes");
    String::from_utf8_lossy(&answer).into_owned()
}
