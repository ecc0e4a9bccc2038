//! What a program measures of itself, for Prometheus
//! ([OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/)). Each program has one [`Metrics`]; nothing is
//! global. Every metric is listed in `docs/METRICS.md`.
//!
//! - What happens often is measured where it happens, with a [`Counter`] or a [`Histogram`]: once a batch or a request,
//!   never once an event.
//! - What can be looked up is looked up when somebody asks: a [`Collector`] writes it, and a [`Source`] reads it before.
//! - `writer`: writes what was looked up; `process`: what the system tells of the process

mod process;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
pub use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use prometheus_client::{
    encoding::text::encode,
    metrics::info::Info,
    registry::{Metric, Registry, Unit},
};
use tokio::time::timeout;

pub use writer::{Writer, number};

/// How long sources may take to read what is asked for. What is not there by then is left out.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// The bounds of durations, in seconds
/// ([OpenTelemetry](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration)).
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// The bounds of ages, in seconds.
const AGES: [f64; 12] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 86_400.0,
];
/// The bounds of numbers of events.
const EVENTS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0];

/// How texts of metrics are sent.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values that tell the series of one metric apart.
pub type Labels<const N: usize> = [(&'static str, String); N];
/// A counter for each of these labels.
pub type Counters<const N: usize> = Family<Labels<N>, Counter>;
/// A histogram for each of these labels.
pub type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// All that a program measures. Clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Mutex<Registry>,
    sources: Mutex<Vec<Arc<dyn Source>>>,
}

/// Reads what its [`Collector`] writes.
#[async_trait]
pub trait Source: Send + Sync {
    /// Reads it now. It may take three seconds.
    async fn read(&self);
}

impl Metrics {
    /// The metrics of this program. It begins with `build_info` and `process_*`.
    #[must_use]
    pub fn new(program: &'static str, version: &'static str) -> Self {
        let mut registry = Registry::default();
        let build = Info::new([("program", program), ("version", version)]);
        registry.register("build", "Which program this is", build);
        registry.register_collector(Box::new(process::Process));
        Self(Arc::new(Inner {
            registry: Mutex::new(registry),
            sources: Mutex::default(),
        }))
    }

    /// Adds what is counted, and returns it. Its name gets the ending `_total`.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.add(name, help, Counter::default())
    }

    /// Adds a counter for each of some labels.
    #[must_use]
    pub fn counters<const N: usize>(&self, name: &str, help: &str) -> Counters<N> {
        self.add(name, help, Counters::default())
    }

    /// Adds a number that goes up and down.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    /// Adds durations, in seconds. The name gets the ending `_seconds`.
    #[must_use]
    pub fn durations(&self, name: &str, help: &str) -> Histogram {
        self.add_in_seconds(name, help, Histogram::new(SECONDS))
    }

    /// Adds durations for each of some labels.
    #[must_use]
    pub fn durations_by<const N: usize>(&self, name: &str, help: &str) -> Histograms<N> {
        let new: fn() -> Histogram = || Histogram::new(SECONDS);
        self.add_in_seconds(name, help, Histograms::new_with_constructor(new))
    }

    /// Adds ages, in seconds. The name gets the ending `_seconds`.
    #[must_use]
    pub fn ages(&self, name: &str, help: &str) -> Histogram {
        self.add_in_seconds(name, help, Histogram::new(AGES))
    }

    /// Adds numbers of events.
    #[must_use]
    pub fn events(&self, name: &str, help: &str) -> Histogram {
        self.add(name, help, Histogram::new(EVENTS))
    }

    /// Adds what is looked up when somebody asks, and what reads it before.
    pub fn collect(&self, collector: impl Collector, source: Option<Arc<dyn Source>>) {
        lock(&self.0.registry).register_collector(Box::new(collector));
        lock(&self.0.sources).extend(source);
    }

    /// All of it as text.
    pub async fn text(&self) -> String {
        let sources = lock(&self.0.sources).clone();
        let reading = join_all(sources.iter().map(|source| source.read()));
        // What was not read in time is left out by its collector, or is as it was read by another at the same time.
        let _ = timeout(READ_WITHIN, reading).await;
        let mut text = String::new();
        // A string takes all that is written to it.
        let _ = encode(&mut text, &lock(&self.0.registry));
        text
    }

    fn add<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        lock(&self.0.registry).register(name, help, metric.clone());
        metric
    }

    fn add_in_seconds<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        let mut registry = lock(&self.0.registry);
        registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }
}

/// No step under these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Looked;

    impl Collector for Looked {
        fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
            let mut writer = Writer::to(&mut encoder);
            writer.gauge("age_seconds", "How old", 1.5)?;
            writer.gauges("waiting", "How many", [([("kind", "a".to_owned())], 3.0)])?;
            writer.counter("hits", "How often", 4.0)
        }
    }

    #[tokio::test]
    async fn everything_that_is_measured_is_in_the_text() {
        let metrics = Metrics::new("a program", "1.2.3");
        metrics.counter("done", "What was done").inc();
        metrics
            .counters::<1>("refused", "What was refused")
            .get_or_create(&[("reason", "full".to_owned())])
            .inc_by(2);
        metrics.durations("push_duration", "How long").observe(0.02);
        metrics.collect(Looked, None);
        let text = metrics.text().await;
        for line in [
            "build_info{program=\"a program\",version=\"1.2.3\"} 1",
            "# HELP done What was done.",
            "done_total 1",
            "refused_total{reason=\"full\"} 2",
            "push_duration_seconds_bucket{le=\"0.025\"} 1",
            "age_seconds 1.5",
            "waiting{kind=\"a\"} 3.0",
            "hits_total 4.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_keeps_nobody_waiting_for_long() {
        struct Hanging;
        #[async_trait]
        impl Source for Hanging {
            async fn read(&self) {
                std::future::pending::<()>().await;
            }
        }
        let metrics = Metrics::new("a program", "1");
        metrics.collect(Looked, Some(Arc::new(Hanging)));
        assert!(metrics.text().await.contains("age_seconds"));
    }
}
