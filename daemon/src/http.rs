//! Pages for operators and Prometheus: `/metrics`, `/healthz`, `/readyz` and the dashboard.
//! Read-only, on loopback unless configured otherwise; without a password, so nothing secret is
//! served.

mod metrics;
mod server;

pub use metrics::{MemberMetrics, Metrics, NetworkMetrics};
pub use server::{HttpError, HttpServer};
