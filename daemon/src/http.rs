//! What operators and Prometheus look at: `/metrics`, `/healthz`, `/readyz` and the dashboard. Read-only, loopback unless
//! configured otherwise; no password, so nothing secret is served.

mod metrics;
mod server;

pub use metrics::{MemberMetrics, Metrics, NetworkMetrics};
pub use server::{HttpError, HttpServer};
