//! `caudal bench consume`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use caudal_client::{Client, ClientConfig, ProducerConfig, Start};
use tokio::sync::{broadcast, oneshot};

use super::pace::Pace;
use super::payload::{Pool, draw_run};
use super::progress::Progress;
use super::report::{Latencies, Report};
use super::sender::{Load, Sender, Sent, Until};
use super::topic::{BenchTopic, Wish};
use crate::clock;
use crate::context::Context;
use crate::failure::Failure;
use crate::threads;
use crate::values::{Pair, Rate, config_pair, parse_size};

const EXAMPLES: &str = "Examples:
  caudal bench consume
  caudal bench consume --records 5000000 --size 100
  caudal bench consume --topic flights --consumers 2 --output json";

/// Records that are written to be read, where no topic is named and no number given.
const RECORDS_DEFAULT: u64 = 1_000_000;

/// How fast records are read
///
/// With --topic: what is in it. Without: records that are written first, and checked when they are read. The latency
/// is how long a reader waited for a batch.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Read this topic [default: one is made, filled, and removed]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Partitions of the topic that is made [default: as many as consumers]
    #[arg(short, long, value_name = "N", conflicts_with = "topic")]
    partitions: Option<i32>,
    /// A configuration value of the topic that is made
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = config_pair, conflicts_with = "topic")]
    configs: Vec<Pair>,
    /// Bytes of each value that is written
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_size, conflicts_with = "topic")]
    size: u64,
    /// Consumers, each with a connection and a thread of its own; they share the partitions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    consumers: u32,
    /// How many records are written and read, or read at most [default: 1000000, or all of --topic]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Do not check the values that are read
    #[arg(long)]
    no_verify: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let run = draw_run()?;
    let pool = Arc::new(Pool::new(run, args.size)?);
    let partitions = args.partitions.or(i32::try_from(args.consumers).ok());
    let wish = Wish { partitions, configs: args.configs.clone(), ..Wish::default() };
    let topic = BenchTopic::prepare(context, args.topic.as_deref(), wish, run).await?;
    let report = topic.with(measure(context, &args, &topic, pool)).await?;
    report.print(context)
}

async fn measure(
    context: &Context,
    args: &Args,
    topic: &BenchTopic,
    pool: Arc<Pool>,
) -> Result<Report, Failure> {
    let written = match args.topic {
        Some(_) => None,
        None => Some(fill(context, args, topic, &pool).await?),
    };
    let ranges = topic.ranges(topic.starts().await?, written.as_slice()).await?;
    let shared = Arc::new(Shared {
        client: context.client.clone(),
        topic: topic.name.clone(),
        records_max: if args.topic.is_some() { args.records.unwrap_or(u64::MAX) } else { u64::MAX },
        pool: written.is_some().then_some(pool),
        check: !args.no_verify,
        read: Arc::default(),
    });
    let progress = Progress::start(context, "reading", shared.read.clone());
    let (took, read) = read(&shared, args.consumers, &ranges).await?;
    drop(progress);

    let mut total =
        Tally { records: 0, bytes: 0, intact: 0, latencies: Latencies::new()?, ended: clock::now() };
    for part in &read {
        total.records += part.records;
        total.bytes += part.bytes;
        total.intact += part.intact;
        total.latencies.merge(&part.latencies);
    }
    let verified = (shared.check && shared.pool.is_some()).then_some(total.intact);
    if let (Some(Sent { records: written, .. }), Some(intact)) = (written, verified)
        && written != intact
    {
        return Err(Failure::refused(format!(
            "{intact} of {written} records were read as they were written"
        )));
    }
    Ok(Report::new("consume", &topic.name, total.records, total.bytes, took, &total.latencies)
        .verified(verified))
}

/// Writes what will be read.
async fn fill(context: &Context, args: &Args, topic: &BenchTopic, pool: &Arc<Pool>) -> Result<Sent, Failure> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let load = Load {
        client: context.client.clone(),
        producer: ProducerConfig::default(),
        topic: topic.name.clone(),
        pool: pool.clone(),
        pace: Pace::new(Rate::Max, 1),
        until: Until::Records(args.records.unwrap_or(RECORDS_DEFAULT)),
        in_flight: u64::MAX,
        acknowledged: acknowledged.clone(),
    };
    let _progress = Progress::start(context, "writing what will be read", acknowledged);
    let sender = threads::spawn("producer-0".to_owned(), move || async move {
        Sender::connect(load, 0).await?.run(clock::now()).await
    })?;
    sender.result().await
}

/// What the readers share.
struct Shared {
    client: ClientConfig,
    topic: String,
    /// Records of all readers.
    records_max: u64,
    /// Whose records count; without it, all.
    pool: Option<Arc<Pool>>,
    /// Whether their values are compared.
    check: bool,
    read: Arc<AtomicU64>,
}

/// What one reader found.
struct Tally {
    records: u64,
    bytes: u64,
    /// Records of this run, byte for byte.
    intact: u64,
    latencies: Latencies,
    ended: Instant,
}

/// Runs the readers, all from the same moment.
async fn read(
    shared: &Arc<Shared>,
    consumers: u32,
    ranges: &[(i32, i64, i64)],
) -> Result<(Duration, Vec<Tally>), Failure> {
    let (start, _) = broadcast::channel(1);
    let mut connected = Vec::new();
    let mut running = Vec::new();
    for number in 0..consumers as usize {
        let part: Vec<_> = ranges.iter().skip(number).step_by(consumers as usize).copied().collect();
        let (shared, begin) = (shared.clone(), start.subscribe());
        let (tell, ready) = oneshot::channel();
        connected.push(ready);
        running.push(threads::spawn(format!("consumer-{number}"), move || {
            read_part(shared, part, tell, begin)
        })?);
    }
    let mut all = true;
    for ready in connected {
        all &= ready.await.is_ok();
    }
    let began = clock::now();
    if all {
        let _ = start.send(());
    }
    drop(start);
    let mut parts = Vec::new();
    let mut failure = None;
    for running in running {
        match running.result().await {
            Ok(part) => parts.push(part),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let ended = parts.iter().map(|part| part.ended).max().unwrap_or(began);
    Ok((ended.saturating_duration_since(began), parts))
}

async fn read_part(
    shared: Arc<Shared>,
    part: Vec<(i32, i64, i64)>,
    connected: oneshot::Sender<()>,
    mut begin: broadcast::Receiver<()>,
) -> Result<Tally, Failure> {
    let client = Client::with_config(shared.client.clone()).await?;
    let mut consumer = client.consumer().build().await?;
    let _ = connected.send(());
    if begin.recv().await.is_err() {
        return Err(Failure::refused("another consumer did not connect"));
    }
    let mut tally =
        Tally { records: 0, bytes: 0, intact: 0, latencies: Latencies::new()?, ended: clock::now() };
    for (partition, first, end) in &part {
        consumer.assign_until(&shared.topic, *partition, Start::Offset(*first), *end).await?;
    }
    if part.is_empty() {
        return Ok(tally);
    }
    loop {
        let asked = clock::now();
        let batch = consumer.next_batch().await?;
        tally.ended = clock::now();
        let Some(batch) = batch else { return Ok(tally) };
        tally.latencies.add(tally.ended.saturating_duration_since(asked), 1);
        let before = tally.records;
        for record in batch {
            let record = record?;
            let value = record.value.as_deref().unwrap_or_default();
            if let Some(pool) = &shared.pool {
                if pool.stamp(value).is_none() {
                    continue;
                }
                tally.intact += u64::from(shared.check && pool.check(value).is_some());
            }
            tally.records += 1;
            tally.bytes += (value.len() + record.key.as_deref().map_or(0, <[u8]>::len)) as u64;
        }
        let read = tally.records - before;
        if shared.read.fetch_add(read, Ordering::Relaxed) + read >= shared.records_max {
            return Ok(tally);
        }
    }
}
