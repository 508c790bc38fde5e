use crate::guard::TrustedProxies;
use clap::Args;
use std::net::SocketAddr;

/// How to serve HTTP.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "GOMALL_HTTP", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// What the operator may look at.
    #[command(flatten)]
    pub operations: OperationsArgs,
    /// `off` takes every limit away, for load generators.
    #[arg(long, env = "GOMALL_LIMITS", default_value = "on", value_parser = ["on", "off"])]
    pub limits: String,
    /// Networks of proxies whose `X-Forwarded-For` is believed, separated by commas.
    #[arg(long, env = "GOMALL_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
}

impl HttpArgs {
    /// Whether requests are limited.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limits != "off"
    }

    /// The proxies that are believed.
    #[must_use]
    pub fn proxies(&self) -> TrustedProxies {
        self.trusted_proxies.clone()
    }
}

/// What the operator may look at, on an address that nobody else reaches.
#[derive(Debug, Clone, Args)]
pub struct OperationsArgs {
    /// Where to serve `/metrics`, `/healthz` and `/readyz` to the operator; port 0 takes a free one.
    #[arg(long, env = "GOMALL_METRICS")]
    pub metrics: Option<SocketAddr>,
}
