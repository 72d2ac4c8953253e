//! The Ready loop of one voter, without a disk: proposed, handed out, persisted, committed.

mod batches;
mod settings;

use batches::batch_of_bytes;
use caudal_broker::consensus::{Boot, FIRST_INDEX, FOUNDING_TERM, Proposal, Replica};
use caudal_broker::ids::{PartitionId, ReplicaId};
use caudal_broker::log::{Kind, LogStart, Voters};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Batches that become ready together.
const PER_PASS: [u64; 3] = [1, 8, 64];

const NOW_MS: i64 = 1_700_000_000_000;

fn leader() -> Replica {
    let boot = Boot {
        partition: PartitionId::CONTROL,
        replica: ReplicaId(1),
        term: FOUNDING_TERM,
        vote: 0,
        commit: FIRST_INDEX.prev(),
        applied: FIRST_INDEX.prev(),
        voters: Voters { voters: vec![1], ..Voters::default() },
        start: LogStart::genesis(PartitionId::CONTROL, FIRST_INDEX, FOUNDING_TERM),
        last_index: FIRST_INDEX.prev(),
        terms: Vec::new(),
        places: Vec::new(),
        entries: Vec::new(),
    };
    let mut replica = Replica::new(boot, 10).expect("a replica starts");
    replica.campaign_if_alone().expect("it stands for election");
    while !replica.is_ready_leader() {
        assert!(replica.has_ready(), "the only voter is elected");
        turn(&mut replica);
    }
    replica
}

/// Takes what there is, and answers that all of it is synced; says how many entries are committed.
fn turn(replica: &mut Replica) -> usize {
    let mut committed = 0;
    while replica.has_ready() {
        let ready = replica.ready().expect("the log follows");
        committed += ready.committed.len();
        if let Some(number) = ready.number {
            replica.persisted(number);
        }
    }
    committed
}

fn ready_loop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ready_loop");
    let payload = batch_of_bytes(64 * 1024);
    for batches in PER_PASS {
        let mut replica = leader();
        group.throughput(Throughput::Elements(batches));
        group.bench_function(BenchmarkId::new("batches", batches), |bencher| {
            bencher.iter(|| {
                for _ in 0..batches {
                    let proposal = Proposal {
                        kind: Kind::Batch,
                        count: 1,
                        max_timestamp: NOW_MS,
                        payload: payload.clone(),
                    };
                    replica.propose(proposal, NOW_MS).expect("it leads");
                }
                assert_eq!(turn(&mut replica) as u64, batches);
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = settings::short(); targets = ready_loop }
criterion_main!(benches);
