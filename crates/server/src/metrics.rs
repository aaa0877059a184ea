//! What is counted, in the Prometheus text format.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
}

pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    latency: Family<Route, Histogram>,
    received: Counter,
    sent: Counter,
    refused: Counter,
    swept_versions: Counter,
    swept_blobs: Counter,
    sweeps_failed: Counter,
    delivered: Counter,
    deliveries_failed: Counter,
    damaged: Counter,
    files: Gauge,
    content: Gauge,
    pub connections: Gauge,
    pub event_streams: Gauge,
    agents: Gauge,
}

/// Seconds: from what a cached list takes to what a large upload does.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("jumpbag");
        let metrics = Metrics {
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            received: Counter::default(),
            sent: Counter::default(),
            refused: Counter::default(),
            swept_versions: Counter::default(),
            swept_blobs: Counter::default(),
            sweeps_failed: Counter::default(),
            delivered: Counter::default(),
            deliveries_failed: Counter::default(),
            damaged: Counter::default(),
            files: Gauge::default(),
            content: Gauge::default(),
            connections: Gauge::default(),
            event_streams: Gauge::default(),
            agents: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit("request", "Time to answer", Unit::Seconds, metrics.latency.clone());
        registry.register_with_unit(
            "received",
            "Bytes of request bodies",
            Unit::Bytes,
            metrics.received.clone(),
        );
        registry.register_with_unit(
            "sent",
            "Bytes of answers of known length",
            Unit::Bytes,
            metrics.sent.clone(),
        );
        registry.register("rate_limited", "Calls refused by a rate limit", metrics.refused.clone());
        registry.register(
            "swept_versions",
            "Versions removed after the retention time",
            metrics.swept_versions.clone(),
        );
        registry.register("swept_blobs", "Blobs removed that nobody needed", metrics.swept_blobs.clone());
        registry.register("sweeps_failed", "Sweeps that ended in an error", metrics.sweeps_failed.clone());
        registry.register("webhook_deliveries", "Events delivered to webhooks", metrics.delivered.clone());
        registry.register(
            "webhook_failures",
            "Deliveries to webhooks that failed",
            metrics.deliveries_failed.clone(),
        );
        registry.register("damaged_downloads", "Downloads of damaged contents", metrics.damaged.clone());
        registry.register("library_files", "Files in the library", metrics.files.clone());
        registry.register_with_unit("content", "Bytes of all contents", Unit::Bytes, metrics.content.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("event_streams", "Open streams of events", metrics.event_streams.clone());
        registry.register("agents", "Agents that are connected", metrics.agents.clone());
        Metrics { registry, ..metrics }
    }

    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration, received: u64, sent: u64) {
        // Methods are what a client says: only those we know become labels.
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = if known.contains(&method) { method } else { "other" }.to_owned();
        let route = route.to_owned();
        self.requests.get_or_create(&Request { method: method.clone(), route: route.clone(), status }).inc();
        self.latency.get_or_create(&Route { method, route }).observe(took.as_secs_f64());
        self.received.inc_by(received);
        self.sent.inc_by(sent);
        if status == 429 {
            self.refused.inc();
        }
    }

    pub fn swept(&self, versions: u64, blobs: u64) {
        self.swept_versions.inc_by(versions);
        self.swept_blobs.inc_by(blobs);
    }

    pub fn sweep_failed(&self) {
        self.sweeps_failed.inc();
    }

    pub fn delivered(&self) {
        self.delivered.inc();
    }

    pub fn delivery_failed(&self) {
        self.deliveries_failed.inc();
    }

    pub fn damaged(&self) {
        self.damaged.inc();
    }

    pub fn library(&self, files: u64, bytes: u64) {
        self.files.set(files.cast_signed());
        self.content.set(bytes.cast_signed());
    }

    pub fn agents(&self, connected: usize) {
        self.agents.set(i64::try_from(connected).unwrap_or(i64::MAX));
    }

    /// All of it, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}
