//! What a benchmark found, as a table or as one JSON object.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::table::Table;
use crate::values::show_size;

/// The longest latency that is told apart, in microseconds: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Latencies in microseconds, three digits exact.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Result<Latencies, Failure> {
        Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
            .map(Latencies)
            .map_err(|error| Failure::refused(format!("no histogram can be made: {error}")))
    }

    /// Counts `count` records with this latency.
    pub(crate) fn add(&mut self, latency: Duration, count: u64) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_US_MAX);
        self.0.saturating_record_n(us.clamp(1, LATENCY_US_MAX), count);
    }

    /// Takes another sender's latencies.
    pub(crate) fn merge(&mut self, other: &Latencies) {
        // Both have the same bounds, so there is nothing that does not fit.
        let _ = self.0.add(&other.0);
    }

    fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.0.value_at_quantile(0.5),
            p90: self.0.value_at_quantile(0.9),
            p99: self.0.value_at_quantile(0.99),
            p999: self.0.value_at_quantile(0.999),
            max: self.0.max(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    bench: &'static str,
    topic: String,
    records: u64,
    bytes: u64,
    seconds: f64,
    records_per_second: f64,
    mib_per_second: f64,
    latency_us: Percentiles,
    /// Records that were read back and were as they were sent; `None` where nobody looked.
    verified: Option<u64>,
}

impl Report {
    /// The result of `records` with values of `bytes` in all, in so long.
    #[expect(clippy::cast_precision_loss, reason = "rates are approximate")]
    pub(crate) fn new(
        bench: &'static str,
        topic: &str,
        records: u64,
        bytes: u64,
        took: Duration,
        latencies: &Latencies,
    ) -> Report {
        let seconds = took.as_secs_f64();
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        Report {
            bench,
            topic: topic.to_owned(),
            records,
            bytes,
            seconds,
            records_per_second: per_second(records as f64),
            mib_per_second: per_second(bytes as f64 / 1_048_576.0),
            latency_us: latencies.percentiles(),
            verified: None,
        }
    }

    /// With so many records read back and found intact.
    pub(crate) fn verified(self, records: Option<u64>) -> Report {
        Report { verified: records, ..self }
    }

    /// Prints it.
    pub(crate) fn print(&self, context: &Context) -> Result<(), Failure> {
        if context.json {
            return context.print_json(self);
        }
        let mut facts = Table::facts();
        let mut row = |name: &str, value: String| facts.row([name.to_owned(), value]);
        row("records", self.records.to_string());
        row("bytes", format!("{} ({})", self.bytes, show_size(self.bytes)));
        row("seconds", format!("{:.3}", self.seconds));
        row("records/s", format!("{:.0}", self.records_per_second));
        row("MiB/s", format!("{:.1}", self.mib_per_second));
        row("verified", self.verified.map_or("no".to_owned(), |records| format!("{records} records")));
        context.print_table(&facts)?;
        crate::context::print(b"\n")?;
        let mut table = Table::new(&["latency", "p50", "p90", "p99", "p99.9", "max"]).right(&[1, 2, 3, 4, 5]);
        let Percentiles { p50, p90, p99, p999, max } = self.latency_us;
        let cells = [p50, p90, p99, p999, max].map(|us| us.to_string());
        table.row(std::iter::once("µs".to_owned()).chain(cells));
        context.print_table(&table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_object_has_the_promised_fields() {
        let mut latencies = Latencies::new().unwrap();
        latencies.add(Duration::from_micros(100), 99);
        latencies.add(Duration::from_secs(7200), 1);
        let report = Report::new("produce", "t", 100, 104_857_600, Duration::from_secs(2), &latencies);
        let json = serde_json::to_value(&report).unwrap();
        for field in ["records", "bytes", "seconds", "records_per_second", "mib_per_second"] {
            assert!(json[field].is_number(), "{field}");
        }
        assert_eq!(json["mib_per_second"], 50.0);
        assert_eq!(json["latency_us"]["p50"], 100);
        for field in ["p50", "p90", "p99", "p999", "max"] {
            assert!(json["latency_us"][field].is_u64(), "{field}");
        }
    }
}
