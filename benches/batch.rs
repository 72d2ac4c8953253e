//! Record batches: made record by record, checked as a broker does, read as a consumer does.

mod settings;

use std::hint::black_box;

use caudal_proto::batch::{self, Builder, Codec};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Values of so many bytes, so many to a batch.
const SHAPES: [(&str, usize, usize); 2] = [("100B", 100, 1000), ("1KiB", 1024, 64)];

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    for (name, bytes, count) in SHAPES {
        let value = vec![b'v'; bytes];
        let mut full = Builder::new();
        for n in 0..count {
            full.push(n as i64, None, Some(&value), []).expect("the batch fits");
        }
        let whole = full.clone().finish(Codec::None, None).expect("a batch of records is made");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("push", name), |bencher| {
            bencher.iter(|| {
                let mut builder = Builder::with_capacity(whole.len());
                for n in 0..count {
                    let pushed = builder.push(n as i64, None, Some(black_box(&value)), []);
                    pushed.expect("the batch fits");
                }
                builder
            });
        });
        group.bench_function(BenchmarkId::new("finish", name), |bencher| {
            bencher.iter_batched(
                || full.clone(),
                |builder| builder.finish(Codec::None, None),
                criterion::BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("check", name), |bencher| {
            bencher.iter(|| batch::check(black_box(&whole)));
        });
        group.bench_function(BenchmarkId::new("records", name), |bencher| {
            bencher.iter(|| {
                let records = batch::records(black_box(&whole), usize::MAX).expect("the batch is whole");
                let bytes: usize = records
                    .map(|record| record.expect("the record is whole").value.map_or(0, |value| value.len()))
                    .sum();
                assert_eq!(bytes, count * value.len());
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = settings::short(); targets = batch }
criterion_main!(benches);
