//! The wire between a writer and the database, which can be cut at the one moment that matters:
//! after the server has done what it was asked for and before its answer arrives.

use sqlx::postgres::PgConnectOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) struct Line {
    pub(crate) options: PgConnectOptions,
    lose: Arc<AtomicBool>,
    /// Ends with the line.
    _relay: JoinSet<()>,
}

impl Line {
    pub(crate) async fn to(options: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = (options.get_host().to_owned(), options.get_port());
        let lose = Arc::new(AtomicBool::new(false));
        let (losing, mut relay) = (Arc::clone(&lose), JoinSet::new());
        relay.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass_on(client, server.clone(), Arc::clone(&losing)));
            }
        });
        Self { options: options.clone().host("127.0.0.1").port(port), lose, _relay: relay }
    }

    /// Cuts the connection instead of passing on what the server says next.
    pub(crate) fn lose_next_answer(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }
}

async fn pass_on(mut client: TcpStream, server: (String, u16), lose: Arc<AtomicBool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let answers = async {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(bytes @ 1..) = from_server.read(&mut chunk).await {
            let lost = lose.swap(false, Ordering::SeqCst);
            if lost || to_client.write_all(&chunk[..bytes]).await.is_err() {
                break;
            }
        }
    };
    // Whichever side ends first ends the connection.
    tokio::select! {
        () = answers => {}
        _ = copy(&mut from_client, &mut to_server) => {}
    }
}
