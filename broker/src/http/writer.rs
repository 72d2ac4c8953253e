//! Families and their samples, through the encoder of the exposition format.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::families::{Family, Kind};
use crate::runtime::meters::histogram::{BOUNDS_MICROS, Reading};

/// Writes families, one after the other.
pub struct Writer<'a>(DescriptorEncoder<'a>);

/// No labels.
pub const NONE: [(&str, &str); 0] = [];

/// Microseconds in a second.
const MICROS: f64 = 1e6;

impl<'a> Writer<'a> {
    /// Into an encoder.
    pub fn new(encoder: DescriptorEncoder<'a>) -> Writer<'a> {
        Writer(encoder)
    }

    /// A family with the samples that `write` adds.
    ///
    /// # Errors
    /// The page takes no more.
    pub fn family(
        &mut self,
        family: &Family,
        write: impl FnOnce(&mut Samples<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let (name, kind) = match family.kind {
            // The encoder adds the ending that counters have.
            Kind::Counter => (family.name.trim_end_matches("_total"), MetricType::Counter),
            Kind::Gauge => (family.name, MetricType::Gauge),
            Kind::Histogram => (family.name, MetricType::Histogram),
        };
        let metric = self.0.encode_descriptor(name, family.help, None, kind)?;
        write(&mut Samples { metric, kind: family.kind })
    }

    /// A family of one sample without labels.
    ///
    /// # Errors
    /// As [`Writer::family`].
    pub fn one(&mut self, family: &Family, value: f64) -> fmt::Result {
        self.family(family, |samples| samples.add(&NONE, value))
    }

    /// A family of one sample without labels, where it is known.
    ///
    /// # Errors
    /// As [`Writer::family`].
    pub fn perhaps(&mut self, family: &Family, value: Option<f64>) -> fmt::Result {
        self.family(family, |samples| value.map_or(Ok(()), |value| samples.add(&NONE, value)))
    }
}

/// The samples of one family.
pub struct Samples<'a> {
    metric: MetricEncoder<'a>,
    kind: Kind,
}

impl Samples<'_> {
    /// One of a counter or a gauge. Whole numbers up to 2⁵³ are exact.
    ///
    /// # Errors
    /// As [`Writer::family`].
    pub fn add(&mut self, labels: &impl EncodeLabelSet, value: f64) -> fmt::Result {
        let mut sample = self.metric.encode_family(labels)?;
        match self.kind {
            Kind::Counter if value.fract() == 0.0 && value >= 0.0 => {
                sample.encode_counter::<NoLabelSet, u64, u64>(&(value as u64), None)
            }
            Kind::Counter => sample.encode_counter::<NoLabelSet, f64, u64>(&value, None),
            Kind::Gauge | Kind::Histogram if value.fract() == 0.0 => sample.encode_gauge(&(value as i64)),
            Kind::Gauge | Kind::Histogram => sample.encode_gauge(&value),
        }
    }

    /// One of a histogram.
    ///
    /// # Errors
    /// As [`Writer::family`].
    pub fn add_histogram(&mut self, labels: &impl EncodeLabelSet, reading: &Reading) -> fmt::Result {
        let bounds = BOUNDS_MICROS.iter().map(|micros| *micros as f64 / MICROS).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(reading.buckets).collect();
        let sum = reading.sum_micros as f64 / MICROS;
        let mut sample = self.metric.encode_family(labels)?;
        sample.encode_histogram::<NoLabelSet>(sum, reading.count(), &buckets, None)
    }
}
