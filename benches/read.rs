//! A reader that catches up: 64 MiB of batches out of the page cache, a message of 1 MiB at a time.

mod batches;
mod entries;
mod scratch_log;
mod settings;

use batches::batch_of_bytes;
use caudal_broker::consensus::{FIRST_INDEX, FOUNDING_TERM};
use caudal_broker::ids::Offset;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use entries::Entries;
use scratch_log::ScratchLog;

const LOG_BYTES: usize = 64 * 1024 * 1024;

const MESSAGE_BYTES: usize = 1024 * 1024;

const SIZES: [(&str, usize); 2] = [("64KiB", 64 * 1024), ("1MiB", 1024 * 1024)];

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (size, bytes) in SIZES {
        let payload = batch_of_bytes(bytes);
        let count = LOG_BYTES / payload.len();
        let mut log = ScratchLog::new();
        for entry in Entries::new(payload, FIRST_INDEX, FOUNDING_TERM).take(count) {
            log.append(&entry);
        }
        log.round(true);
        let (reader, (_, _, end)) = (log.log.reader(), log.log.last());
        group.throughput(Throughput::Bytes(LOG_BYTES as u64));
        for (name, verify) in [("verified", true), ("recent", false)] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    let mut next = Offset(0);
                    while next < end {
                        let read = reader.read(next, end, MESSAGE_BYTES, verify);
                        next = read.expect("the log can be read").next_offset;
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = settings::short(); targets = read }
criterion_main!(benches);
