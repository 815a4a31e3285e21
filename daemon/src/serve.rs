//! HTTP over any listener with a limit on connections: for the control socket, and for metrics and
//! dashboard.
//!
//! Clients that open connections and send nothing must not use up the descriptors or keep others
//! from being served. So at the limit the oldest connection without a request in progress is
//! closed, a connection must send the head of a request within half a minute, and only if all have
//! a request in progress is a new one refused, with an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::{Id, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Time for the head of a request, also of the next one on a kept-alive connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for an answer in progress when its connection is closed or the daemon stops.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for sending a refusal.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 47\r\n\r\n\
      too many requests at the moment: try again soon";

/// An open connection.
struct Open {
    task: Id,
    /// Number of requests in progress.
    busy: Arc<AtomicUsize>,
    leave: CancellationToken,
}

/// Serves at most `most` connections at once, until `stop`; then finishes the requests in progress.
/// Accepting never fails for good: without a descriptor the listener tries again after a second.
/// `router` gives each connection its routes, because some answers depend on the peer.
pub(crate) async fn serve<L: Listener>(
    mut listener: L,
    router: impl Fn(&L::Io) -> Router,
    most: usize,
    stop: CancellationToken,
) {
    // Ordered by age, the oldest first.
    let mut open: Vec<Open> = Vec::new();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = tasks.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                open.retain(|connection| connection.task != id);
            }
            (io, _) = listener.accept() => {
                if open.len() >= most && !close_idle(&mut open) {
                    tokio::spawn(refuse(io));
                    continue;
                }
                let busy = Arc::new(AtomicUsize::new(0));
                let leave = CancellationToken::new();
                let router = router(&io);
                let talk = converse(io, router, Arc::clone(&busy), leave.clone());
                let task = tasks.spawn(talk).id();
                open.push(Open { task, busy, leave });
            }
        }
    }
    drop(listener);
    open.iter().for_each(|connection| connection.leave.cancel());
    while tasks.join_next().await.is_some() {}
}

/// Closes the oldest connection without a request in progress; false if there is none.
fn close_idle(open: &mut Vec<Open>) -> bool {
    let idle = open.iter().position(|connection| connection.busy.load(Ordering::Relaxed) == 0);
    let Some(connection) = idle.map(|index| open.remove(index)) else { return false };
    connection.leave.cancel();
    true
}

async fn converse<I: AsyncRead + AsyncWrite + Unpin>(
    io: I,
    router: Router,
    busy: Arc<AtomicUsize>,
    leave: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| {
        let under_way = UnderWay::begin(&busy);
        let answer = router.call(request.map(Body::new));
        async move {
            let answer = answer.await;
            drop(under_way);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    // Errors of a connection are the client's concern.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = leave.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = timeout(LEAVE_TIMEOUT, connection).await;
}

async fn refuse<I: AsyncRead + AsyncWrite + Unpin>(mut io: I) {
    let said = async {
        io.write_all(REFUSAL).await?;
        io.shutdown().await?;
        // Closing a connection with unread input resets it, and the refusal would be lost.
        tokio::io::copy(&mut io, &mut tokio::io::sink()).await
    };
    let _ = timeout(REFUSAL_TIMEOUT, said).await;
}

/// Counts a request until it is dropped, even if the client disconnects.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn begin(busy: &Arc<AtomicUsize>) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(busy))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn ask(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn idle_connections_make_way_and_busy_ones_do_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, go) = (CancellationToken::new(), CancellationToken::new());
        let waiting = Arc::new(AtomicUsize::new(0));
        let (gate, count) = (go.clone(), Arc::clone(&waiting));
        let slow = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let gate = gate.clone();
            async move {
                gate.cancelled().await;
                "done"
            }
        };
        let router = Router::new().route("/", get(|| async { "here" })).route("/slow", get(slow));
        let server = tokio::spawn(serve(listener, move |_| router.clone(), 4, stop.clone()));
        let mut idle = Vec::new();
        for _ in 0..50 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        for _ in 0..10 {
            assert!(ask(address, "/").await.ends_with("here"));
        }
        // All connections have a request in progress: the next one is refused.
        let asked: Vec<_> = (0..4).map(|_| tokio::spawn(ask(address, "/slow"))).collect();
        while waiting.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let refused = ask(address, "/").await;
        assert!(refused.contains("503") && refused.ends_with("try again soon"), "{refused}");
        let (head, body) = refused.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{refused}");
        // Requests in progress are finished even when the server stops.
        stop.cancel();
        go.cancel();
        for answer in asked {
            assert!(answer.await.unwrap().ends_with("done"));
        }
        server.await.unwrap();
    }
}
