mod heads;

use super::*;
use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

const GET: &[u8] = b"GET /peer HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    places: Arc<Places>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Returns when nobody holds a place or a byte.
    async fn is_left(&self) {
        while self.places.held() != 0 || self.places.bytes() != 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("it has ended");
    }
}

async fn run(router: Router) -> Running {
    run_with(router, 100).await
}

async fn run_with(router: Router, connections: usize) -> Running {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "--http").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let stop = CancellationToken::new();
    let places = Places::of(connections, TrustedProxies::default());
    let task = tokio::spawn(serve_in(Arc::clone(&places), listener, router, stop.clone()));
    Running { address, places, stop, task }
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
async fn an_occupied_port_is_named_with_its_setting() {
    let taken = bind((Ipv4Addr::LOCALHOST, 0).into(), "--http").await.expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let setting = "--http or GOMALL_HTTP";
    let error = bind(address, setting).await.expect_err("it is taken");
    let message = error.to_string();
    assert!(message.contains(&format!("port {} is in use", address.port())), "{message}");
    assert!(message.contains(setting), "{message}");
}

/// Answers that take long to take, and one that takes long to come.
fn great_router() -> Router {
    Router::new()
        .route("/great", get(async || Bytes::from_static(&[b'x'; 8 << 20])))
        .route("/medium", get(async || Bytes::from_static(&[b'x'; 100_000])))
        .route(
            "/late",
            get(async || {
                Body::from_stream(futures::stream::once(async {
                    tokio::time::sleep(Duration::from_secs(120)).await;
                    Ok::<_, Infallible>("late")
                }))
            }),
        )
        .route("/healthz", get(async || "alive"))
}

async fn connect_http2(
    server: &Running,
    window: u32,
) -> (h2::client::SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = connect(server.address).await;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .handshake(stream)
        .await
        .expect("it speaks HTTP/2");
    // It answers pings, whatever else its owner does.
    (client.ready().await.expect("it is open"), tokio::spawn(connection))
}

fn ask(client: &mut h2::client::SendRequest<Bytes>, path: &str) -> h2::client::ResponseFuture {
    let request = HttpRequest::get(format!("http://shop{path}")).body(()).expect("a request");
    client.send_request(request, true).expect("it is open").0
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answer_is_let_go() {
    let server = run(great_router()).await;
    let mut client = connect(server.address).await;
    for _ in 0..6 {
        client.write_all(b"GET /great HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is open");
    }
    let mut beginning = [0; 15];
    client.read_exact(&mut beginning).await.expect("an answer");
    assert_eq!(server.places.held(), 1);
    let began = tokio::time::Instant::now();
    server.is_left().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_not_taken_end_with_their_connection() {
    let server = run(great_router()).await;
    let (mut client, connection) = connect_http2(&server, 0).await;
    let mut answers = vec![];
    for _ in 0..100 {
        let mut answer = client.ready().await.expect("it is open");
        answers.push(ask(&mut answer, "/medium"));
        client = answer;
    }
    let began = tokio::time::Instant::now();
    for answer in &mut answers {
        answer.await.expect("headers need no window");
    }
    assert!(server.places.bytes() > 0);
    server.is_left().await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let _closed = connection.await;
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_ends_although_it_answers_pings() {
    let server = run(great_router()).await;
    let (_client, connection) = connect_http2(&server, 65_535).await;
    let began = tokio::time::Instant::now();
    let _closed = connection.await.expect("no panic");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    server.is_left().await;
    server.end().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_us_is_not_let_go() {
    let server = run(great_router()).await;
    let (mut client, _connection) = connect_http2(&server, 65_535).await;
    let mut body = ask(&mut client, "/late").await.expect("an answer").into_body();
    assert_eq!(body.data().await.expect("data").expect("it is open"), "late");
    server.end().await;
}

#[tokio::test]
async fn a_great_answer_arrives_whole_and_is_forgotten() {
    let server = run(great_router()).await;
    let (mut client, _connection) = connect_http2(&server, 65_535).await;
    let mut body = ask(&mut client, "/medium").await.expect("an answer").into_body();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.expect("it is open");
        length += data.len();
        body.flow_control().release_capacity(data.len()).expect("it was taken");
    }
    assert_eq!(length, 100_000);
    let mut client = connect(server.address).await;
    client
        .write_all(b"GET /great HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .expect("it is open");
    let answer = read_all(client).await;
    assert_eq!(answer.split_once("\r\n\r\n").map(|(_, body)| body.len()), Some(8 << 20));
    compose::testing::eventually("nothing is held", async || server.places.bytes() == 0).await;
    server.end().await;
}

#[tokio::test]
async fn who_finds_no_place_may_still_ask_whether_the_process_lives() {
    // An address may have two of these.
    let server = run_with(great_router(), 8).await;
    let silent = [connect(server.address).await, connect(server.address).await];
    compose::testing::eventually("both have a place", async || server.places.held() == 2).await;
    for (path, status) in [("/healthz", "200 OK"), ("/medium", "503 Service Unavailable")] {
        let mut client = connect(server.address).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("it is open");
        let answer = read_all(client).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    drop(silent);
    server.is_left().await;
    server.end().await;
}

#[tokio::test]
async fn one_address_holds_so_many_bytes_and_no_more() {
    let server = run(great_router()).await;
    let (mut client, _connection) = connect_http2(&server, 0).await;
    let mut answers = vec![];
    for _ in 0..6 {
        client = client.ready().await.expect("it is open");
        answers.push(ask(&mut client, "/great").await.expect("an answer"));
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 503, 503]);
    server.end().await;
}
