use super::*;
use axum::Router;
use axum::routing::get;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const GET: &[u8] = b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn run(router: Router) -> Running {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "--http").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, router, stop.clone()));
    Running { address, stop, task }
}

fn peer_router() -> Router {
    Router::new().route(
        "/peer",
        get(async |request: Request| {
            request
                .extensions()
                .get::<Peer>()
                .map(|Peer(peer)| peer.ip().to_string())
                .unwrap_or_default()
        }),
    )
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("somebody listens")
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is reset is as closed as one that is ended.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_request_knows_where_it_comes_from_and_the_server_ends_when_told() {
    let server = run(peer_router()).await;
    let mut client = connect(server.address).await;
    client.write_all(GET).await.expect("it is open");
    let mut beginning = [0; 15];
    client.read_exact(&mut beginning).await.expect("an answer");
    assert_eq!(&beginning, b"HTTP/1.1 200 OK");
    server.stop.cancel();
    let rest = read_all(client).await;
    assert!(rest.ends_with("127.0.0.1"), "{rest}");
    server.task.await.expect("it has ended");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_while_stopping() {
    let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let route = {
        let (begun, finish) = (begun.clone(), finish.clone());
        async move || {
            begun.notify_one();
            finish.notified().await;
            "done"
        }
    };
    let server = run(Router::new().route("/peer", get(route))).await;
    let mut client = connect(server.address).await;
    client.write_all(GET).await.expect("it is open");
    begun.notified().await;
    server.stop.cancel();
    finish.notify_one();
    let answer = read_all(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    server.task.await.expect("it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_is_cut_off() {
    let begun = Arc::new(Notify::new());
    let route = {
        let begun = begun.clone();
        async move || -> String {
            begun.notify_one();
            std::future::pending().await
        }
    };
    let server = run(Router::new().route("/peer", get(route))).await;
    let mut client = connect(server.address).await;
    client.write_all(GET).await.expect("it is open");
    begun.notified().await;
    server.stop.cancel();
    server.task.await.expect("it has ended");
    assert_eq!(read_all(client).await, "");
}

// The clock of these tests jumps ahead as soon as everything waits.
#[tokio::test(start_paused = true)]
async fn a_client_that_dribbles_or_keeps_silent_is_let_go() {
    let server = run(peer_router()).await;
    for beginning in ["", "P", "PRI * HT", "GET /peer HTTP/1.1\r\nx-slow: "] {
        let mut client = connect(server.address).await;
        client.write_all(beginning.as_bytes()).await.expect("it is open");
        let answer = read_all(client).await;
        assert!(!answer.contains("200 OK"), "{beginning}: {answer}");
    }
    server.stop.cancel();
    server.task.await.expect("it has ended");
}

#[tokio::test]
async fn http2_is_spoken_with_those_who_begin_with_it() {
    let server = run(peer_router()).await;
    let mut client = connect(server.address).await;
    // The preface and an empty SETTINGS frame; the server answers with SETTINGS of its own.
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("open");
    let mut frame = [0; 9];
    client.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame[3], 4, "SETTINGS");
    drop(client);
    server.stop.cancel();
    server.task.await.expect("it has ended");
}

#[tokio::test]
async fn an_occupied_port_is_named_with_its_flag() {
    let taken = bind((Ipv4Addr::LOCALHOST, 0).into(), "--http").await.expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let error = bind(address, "--http").await.expect_err("it is taken");
    let message = error.to_string();
    assert!(message.contains(&format!("port {} is in use", address.port())), "{message}");
    assert!(message.contains("--http"), "{message}");
}
