//! Appends to a log on a real disk, one round after each, as the broker does it: with the sync and without.
//!
//! Each sample is a new log that takes 16 MiB, so that the disk in use stays small and every sample begins with the
//! same room taken ahead.

mod batches;
mod entries;
mod scratch_log;
mod settings;

use batches::batch_of_bytes;
use caudal_broker::consensus::{FIRST_INDEX, FOUNDING_TERM};
use caudal_broker::log::Entry;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use entries::Entries;
use scratch_log::ScratchLog;

const LOG_BYTES: usize = 16 * 1024 * 1024;

const SIZES: [(&str, usize); 2] = [("64KiB", 64 * 1024), ("1MiB", 1024 * 1024)];

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (size, bytes) in SIZES {
        let payload = batch_of_bytes(bytes);
        let count = LOG_BYTES / payload.len();
        let entries: Vec<Entry> = Entries::new(payload, FIRST_INDEX, FOUNDING_TERM).take(count).collect();
        group.throughput(Throughput::Bytes(entries.iter().map(|entry| entry.payload.len() as u64).sum()));
        for (name, sync) in [("synced", true), ("unsynced", false)] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_batched_ref(
                    ScratchLog::new,
                    |log| {
                        for entry in &entries {
                            log.append(entry);
                            log.round(sync);
                        }
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = settings::short().sample_size(10); targets = append }
criterion_main!(benches);
