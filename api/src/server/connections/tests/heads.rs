//! Heads that do not end, and what is in them.

use super::{GET, connect, peer_router, read_all, run, run_with};
use axum::body::Bytes;
use compose::testing::eventually;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The beginning of a head that does not end, of so many bytes.
fn unfinished(bytes: usize) -> Vec<u8> {
    let mut head = b"GET /peer HTTP/1.1\r\nhost: x\r\nfilling: ".to_vec();
    head.resize(bytes, b'a');
    head
}

#[tokio::test]
async fn unfinished_heads_have_a_sum_for_each_address_and_usual_ones_are_answered_beside_them() {
    const HEAD: usize = 62 * 1024;
    let server = run_with(peer_router(), 4_000).await;
    let mut open = vec![];
    for _ in 0..400 {
        let mut client = connect(server.address).await;
        // Whoever is cut off may learn of it while it still sends.
        let _sent_or_not = client.write_all(&unfinished(HEAD)).await;
        open.push(client);
    }
    let mut cut_off = 0;
    for client in &mut open {
        let mut byte = [0];
        let waited = tokio::time::timeout(Duration::from_millis(5), client.read(&mut byte)).await;
        cut_off += usize::from(waited.is_ok());
    }
    let most = 8 * 1024 * 1024;
    assert!(server.places.bytes() <= most, "{}", server.places.bytes());
    assert!(server.places.bytes() > most / 2, "{}", server.places.bytes());
    assert!(cut_off > 200, "{cut_off}");
    for _ in 0..3 {
        let mut client = connect(server.address).await;
        client.write_all(GET).await.expect("it is open");
        let mut beginning = [0; 15];
        client.read_exact(&mut beginning).await.expect("an answer");
        assert_eq!(&beginning, b"HTTP/1.1 200 OK");
    }
    drop(open);
    server.is_left().await;
    server.end().await;
}

#[tokio::test]
async fn whatever_comes_before_and_after_a_head_it_is_counted_until_it_is_a_request() {
    let router = peer_router().route("/post", axum::routing::post(async |_: Bytes| "done"));
    let server = run(router).await;
    let mut client = connect(server.address).await;
    let post = b"POST /post HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n";
    let answered = async |client: &mut TcpStream, end: &[u8]| {
        let mut seen = vec![];
        while !seen.ends_with(end) {
            let mut byte = [0];
            client.read_exact(&mut byte).await.expect("an answer");
            seen.push(byte[0]);
        }
    };
    // Bodies and heads that have become requests are not heads any more.
    for _ in 0..20 {
        client.write_all(&[post.as_slice(), &[b'x'; 9000]].concat()).await.expect("it is open");
        answered(&mut client, b"done").await;
        client.write_all(GET).await.expect("it is open");
        answered(&mut client, b"127.0.0.1").await;
        assert_eq!(server.places.bytes(), 0);
    }
    // What comes behind one is.
    let behind = [GET, &unfinished(20_000)].concat();
    client.write_all(&behind).await.expect("it is open");
    answered(&mut client, b"127.0.0.1").await;
    let counted = async || {
        eventually("it is counted", async || (server.places.bytes() > 15_000).then_some(())).await;
    };
    counted().await;
    drop(client);
    server.is_left().await;

    let mut client = connect(server.address).await;
    let behind = [post.as_slice(), &[b'x'; 9000], &unfinished(20_000)].concat();
    client.write_all(&behind).await.expect("it is open");
    answered(&mut client, b"done").await;
    counted().await;
    drop(client);
    server.is_left().await;

    // Behind a body in chunks nobody knows where a head begins.
    let mut client = connect(server.address).await;
    let chunked = b"POST /post HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.write_all(&[chunked.as_slice(), GET].concat()).await.expect("it is open");
    let answers = read_all(client).await;
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    assert!(answers.to_lowercase().contains("connection: close"), "{answers}");
    server.end().await;
}

#[tokio::test]
async fn a_fragment_in_the_target_is_400_and_one_elsewhere_is_nothing() {
    let server = run(peer_router()).await;
    for target in ["/peer#x", "/peer?a=b#x", "/peer?#", "/#/peer", "#"] {
        let mut client = connect(server.address).await;
        let head = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
        // In two parts, and behind another request.
        client.write_all(GET).await.expect("it is open");
        let mut first = [0; 15];
        client.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        while !first.ends_with(b"127.0.0.1") {
            first.rotate_left(1);
            client.read_exact(&mut first[14..]).await.expect("the rest");
        }
        let (one, two) = head.as_bytes().split_at(6);
        client.write_all(one).await.expect("it is open");
        client.write_all(two).await.expect("it is open");
        let answer = read_all(client).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target}: {answer}");
    }
    let mut client = connect(server.address).await;
    let head = b"GET /peer HTTP/1.1\r\nhost: x\r\nreferer: /a#b\r\nconnection: close\r\n\r\n";
    client.write_all(head).await.expect("it is open");
    assert!(read_all(client).await.starts_with("HTTP/1.1 200"));
    server.end().await;
}

/// A frame of HTTP/2 on the first stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("it is small");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

#[tokio::test]
async fn over_http2_nobody_sees_a_fragment() {
    let seen = async |uri: axum::http::Uri| uri.to_string();
    let server = run(axum::Router::new().fallback(seen)).await;
    let mut client = connect(server.address).await;
    let path = b"/admin?a=1#fragment";
    let length = u8::try_from(path.len()).expect("it is short");
    // GET, http, and the path as it is: RFC 7541, appendix A and section 6.2.2.
    let head = [&[0x82, 0x86, 0x04, length], &path[..]].concat();
    let bytes = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(0x4, 0, 0, &[]),
        frame(0x1, 0x5, 1, &head),
    ];
    client.write_all(&bytes.concat()).await.expect("it is open");
    loop {
        let mut header = [0; 9];
        client.read_exact(&mut header).await.expect("a frame");
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("it fits")];
        client.read_exact(&mut payload).await.expect("all of it");
        if header[3] == 0x0 {
            assert_eq!(String::from_utf8_lossy(&payload), "/admin?a=1");
            break;
        }
    }
    drop(client);
    server.is_left().await;
    server.end().await;
}
