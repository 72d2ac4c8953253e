//! One frame: made, its header read, its payload checked.

mod batches;
mod entries;
mod settings;

use std::hint::black_box;

use batches::batch_of_bytes;
use bytes::Bytes;
use caudal_broker::consensus::FIRST_INDEX;
use caudal_broker::ids::{Offset, Term};
use caudal_broker::log::{FrameHeader, Gather};
use caudal_proto::batch;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use entries::Entries;

const SIZES: [(&str, usize); 3] = [("1KiB", 1024), ("64KiB", 64 * 1024), ("1MiB", 1024 * 1024)];

/// A batch as it rests on disk: stamped with its offset and term.
fn stamped(payload: &Bytes, base_offset: Offset, term: Term) -> Bytes {
    let mut bytes = payload.to_vec();
    batch::stamp(&mut bytes, base_offset.0, term.0 as i32);
    bytes.into()
}

fn frame(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for (name, bytes) in SIZES {
        let mut entries = Entries::new(batch_of_bytes(bytes), FIRST_INDEX, Term(7));
        let Some(entry) = entries.next() else { return };
        let header = FrameHeader::of(&entry, 1);
        let encoded = header.encode();
        let payload = stamped(&entry.payload, entry.base_offset, entry.term);
        assert!(header.check_payload(&payload), "the benchmark's own frame is whole");

        group.throughput(Throughput::Bytes(entry.payload.len() as u64));
        let mut gather = Gather::default();
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            bencher.iter(|| {
                gather.clear();
                black_box(gather.push(black_box(&entry), 1))
            });
        });
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| FrameHeader::parse(black_box(&encoded)));
        });
        group.bench_function(BenchmarkId::new("check", name), |bencher| {
            bencher.iter(|| header.check_payload(black_box(&payload)));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = settings::short(); targets = frame }
criterion_main!(benches);
