//! What is counted: OpenTelemetry instruments, shown to Prometheus.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};
use std::time::Duration;

/// Upper bounds of the duration's buckets, in seconds: a cached read, a cart command, a checkout,
/// a password hash, a payment.
const DURATION_BOUNDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The process's instruments and their registry.
pub struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
    requests: Counter<u64>,
    duration: Histogram<f64>,
    events: Counter<u64>,
}

/// The instruments could not be set up or read, which only a wrong name among them causes.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Setting up.
    #[error("metrics: {0}")]
    Setup(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// Reading.
    #[error("metrics: {0}")]
    Read(#[from] prometheus::Error),
}

impl Metrics {
    /// The media type of [`Metrics::render`]'s text.
    pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

    /// A registry of its own with the edge's instruments at zero.
    ///
    /// # Errors
    /// [`MetricsError::Setup`].
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()?;
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let meter = provider.meter("gomall");
        let requests = meter
            .u64_counter("gomall_http_requests")
            .with_description("Requests answered, by route pattern, method and status.")
            .build();
        let duration = meter
            .f64_histogram("gomall_http_request_duration")
            .with_description("Time until the answer began.")
            .with_unit("s")
            .with_boundaries(DURATION_BOUNDS.to_vec())
            .build();
        let events = meter
            .u64_counter("gomall_events")
            .with_description("Events of the journal that this process has seen being appended.")
            .build();
        // A counter that was never counted up would not be listed.
        events.add(0, &[]);
        Ok(Self { registry, provider, requests, duration, events })
    }

    /// For instruments of other parts: counters, and observable gauges such as a projection's lag.
    /// Prometheus sees their names with a unit or `_total` appended.
    #[must_use]
    pub fn meter(&self, scope: &'static str) -> Meter {
        self.provider.meter(scope)
    }

    /// `count` more events were seen at the journal's end.
    pub fn events_seen(&self, count: u64) {
        self.events.add(count, &[]);
    }

    pub(super) fn request_done(
        &self,
        route: String,
        method: &'static str,
        status: u16,
        took: Duration,
    ) {
        let labels = [
            KeyValue::new("route", route),
            KeyValue::new("method", method),
            KeyValue::new("status", i64::from(status)),
        ];
        self.requests.add(1, &labels);
        // Without the status: a histogram is 16 series for every combination of labels.
        self.duration.record(took.as_secs_f64(), &labels[..2]);
    }

    /// Everything, in Prometheus's text format.
    ///
    /// # Errors
    /// [`MetricsError::Read`].
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_metrics_are_there_under_their_names() {
        let metrics = Metrics::new().expect("the names are right");
        assert!(metrics.render().expect("text").contains("gomall_events_total 0"));
        metrics.events_seen(3);
        metrics.request_done("/a/{id}".into(), "GET", 200, Duration::from_millis(3));
        let meter = metrics.meter("test");
        let gauge = meter.u64_observable_gauge("gomall_lag_events");
        let _lag = gauge.with_callback(|observer| observer.observe(7, &[])).build();
        let text = metrics.render().expect("text");
        for line in [
            "gomall_events_total 3",
            "gomall_http_requests_total{method=\"GET\",route=\"/a/{id}\",status=\"200\"} 1",
            "gomall_http_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{id}\",le=\"0.005\"} 1",
            "gomall_http_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{id}\",le=\"0.0025\"} 0",
            "gomall_lag_events 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
