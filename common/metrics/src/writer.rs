//! Writes what was looked up.

use std::fmt;

#[cfg(doc)]
use prometheus_client::{collector::Collector, registry::Registry};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Writes numbers that were looked up.
pub struct Writer<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl<'a, 'e> Writer<'a, 'e> {
    /// For the text that a [`Collector`] writes.
    pub const fn to(encoder: &'a mut DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    /// Writes a number that goes up and down.
    ///
    /// # Errors
    /// If the text takes no more.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self.begin(name, help, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// Writes such numbers by labels.
    ///
    /// # Errors
    /// If the text takes no more.
    pub fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, String); N], f64)>,
    ) -> fmt::Result {
        let mut metric = self.begin(name, help, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Writes how often something happened, or how much of it. The name gets the ending `_total`.
    ///
    /// # Errors
    /// If the text takes no more.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let metric = self.begin(name, help, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    /// [`Registry::register`] ends the help with a point, too.
    fn begin<'w>(
        &'w mut self,
        name: &'w str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'w>, fmt::Error> {
        self.0
            .encode_descriptor(name, &format!("{help}."), None, kind)
    }
}

/// A number of things as Prometheus has it. It is exact up to 2⁵³.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus keeps every number as a float of 64 bits"
)]
pub const fn number(count: u64) -> f64 {
    count as f64
}
