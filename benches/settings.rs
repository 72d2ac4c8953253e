//! How long a benchmark runs unless the command line says otherwise.

use std::time::Duration;

use criterion::Criterion;

/// A second for each point: enough to see a change of a tenth on a quiet machine. `--measurement-time` and
/// `--sample-size` ask for more.
pub(crate) fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .without_plots()
}
