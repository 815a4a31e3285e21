//! The pages: axum on a TCP listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use crate::control::api::{ErrorCode, NodeState, RoundReport, Severity, path};
use crate::control::{ControlCommand, ControlPort};
use crate::descriptors::budget;
use crate::serve::serve;

/// The dashboard: three files, with no external resources.
const PAGE: &str = include_str!("dashboard/index.html");
const STYLE: &str = include_str!("dashboard/dashboard.css");
const SCRIPT: &str = include_str!("dashboard/dashboard.js");
/// The page may load script and style from its own server and fetch data from it, nothing else: a
/// script in a member's name would not run even if the page failed to treat it as text.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Another version of the daemon serves another page.
    (header::CACHE_CONTROL, "no-store"),
];

/// Why the pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Another process has the address.
    #[error("http.listen: {address} is already in use by another process")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// Any other error.
    #[error("http.listen: cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

impl HttpError {
    /// The stable name.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InUse { .. } => ErrorCode::AddressInUse,
            Self::Listen { .. } => ErrorCode::ConfigInvalid,
        }
    }
}

/// A bound listener.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    names: Arc<[String]>,
}

#[derive(Clone)]
struct Pages {
    port: ControlPort,
    metrics: Metrics,
}

impl HttpServer {
    /// Listens on `address`; port 0 takes any.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn bind(address: SocketAddr) -> Result<Self, HttpError> {
        Self::bind_for(address, &[]).await
    }

    /// Like [`Self::bind`], for requests that name one of `names`, see
    /// [`HttpConfig::allowed_hosts`](crate::config::HttpConfig).
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn bind_for(address: SocketAddr, names: &[String]) -> Result<Self, HttpError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => HttpError::InUse { address },
            _ => HttpError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, names: names.into() })
    }

    /// The address, with the port that was actually bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// Errors of the socket.
    pub async fn serve(
        self,
        port: ControlPort,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> io::Result<()> {
        let pages = Pages { port, metrics };
        let router = Router::new()
            .route("/", get(|| async { Html(PAGE) }))
            .route("/dashboard.css", get(|| async { text("text/css; charset=utf-8", STYLE) }))
            .route(
                "/dashboard.js",
                get(|| async { text("text/javascript; charset=utf-8", SCRIPT) }),
            )
            .route("/metrics", get(metrics_page))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route(
                path::STATUS,
                get(|State(it): State<Pages>| async move { Json(it.port.status()) }),
            )
            .route(path::ROUNDS, get(rounds_page))
            .route(path::MEMBERS, get(members_page))
            .with_state(pages)
            .layer(middleware::map_response(with_headers));
        let router = if self.address.ip().is_loopback() || !self.names.is_empty() {
            router.layer(middleware::from_fn_with_state(self.names, check_host))
        } else {
            router
        };
        serve(self.listener, move |_| router.clone(), budget().http, stop).await;
        Ok(())
    }
}

/// The pages that monitors request, some of them without a `Host` header.
const HEALTH_PAGES: [&str; 2] = ["/healthz", "/readyz"];

/// Against DNS rebinding: a page from elsewhere must not read these by resolving its own name to
/// 127.0.0.1.
async fn check_host(State(names): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let Some(host) = request.headers().get(header::HOST) else {
        // Every browser sends it.
        if HEALTH_PAGES.contains(&request.uri().path()) {
            return next.run(request).await;
        }
        return misdirected("the request names no host");
    };
    let name = host.to_str().ok().and_then(host_name);
    match name {
        Some(name)
            if is_loopback(&name) || names.iter().any(|it| it.eq_ignore_ascii_case(&name)) =>
        {
            next.run(request).await
        }
        Some(name) => misdirected(&format!("`{name}` is not a name of this node's pages")),
        None => misdirected("the host that the request names cannot be read"),
    }
}

/// The name in a `Host` header, without the port and without the brackets of an IPv6 address.
fn host_name(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    let name = authority.host();
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty() && !host.contains('@')).then(|| name.to_owned())
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn misdirected(reason: &str) -> Response {
    let text = format!(
        "{reason}: ask for 127.0.0.1 or localhost, or add the name to `http.allowed_hosts` in config.toml\n"
    );
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn text(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

async fn metrics_page(State(pages): State<Pages>) -> Response {
    let rounds: Vec<RoundReport> =
        pages.port.call(ControlCommand::Rounds).await.unwrap_or_default();
    let text = pages.metrics.page(&pages.port.status(), &rounds);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Ready: in a federation, with nothing that keeps this node from taking part.
async fn ready(State(pages): State<Pages>) -> (StatusCode, String) {
    let status = pages.port.status();
    if let Some(last) = status.machine.as_ref().and_then(|machine| machine.silent_through) {
        let text = format!("sits out rounds up to {last}: its journal lacks what it has signed\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    if let Some(condition) = status.conditions.iter().find(|it| it.severity == Severity::Blocking) {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", condition.message));
    }
    if status.state == NodeState::Active && status.machine.is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node is starting\n".into());
    }
    match (status.state, status.last_error) {
        (NodeState::Active | NodeState::Done, None) => (StatusCode::OK, "ready\n".into()),
        (NodeState::Paused, _) => (StatusCode::SERVICE_UNAVAILABLE, "paused\n".into()),
        (_, Some(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        (..) => (StatusCode::SERVICE_UNAVAILABLE, "not in a founded federation\n".into()),
    }
}

async fn rounds_page(State(pages): State<Pages>) -> Response {
    json(pages.port.call(ControlCommand::Rounds).await)
}

async fn members_page(State(pages): State<Pages>) -> Response {
    json(pages.port.call(ControlCommand::Members).await)
}

fn json<T: serde::Serialize>(result: Result<T, crate::control::api::ApiError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}
