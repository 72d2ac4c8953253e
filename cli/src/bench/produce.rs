//! `caudal bench produce`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use caudal_client::{Acks, ProducerConfig};
use caudal_proto::batch::Codec;

use super::pace::Pace;
use super::payload::{Pool, draw_run};
use super::progress::Progress;
use super::read_back::ReadBack;
use super::report::{Latencies, Report};
use super::sender::{Load, Sender, Sent, Until};
use super::topic::{BenchTopic, Wish};
use crate::clock;
use crate::context::Context;
use crate::failure::Failure;
use crate::produce::{parse_acks, parse_codec};
use crate::threads;
use crate::values::{Pair, Rate, config_pair, parse_duration, parse_size};

const EXAMPLES: &str = "Examples:
  caudal bench produce
  caudal bench produce -c durability=memory --size 100 --records 10000000
  caudal bench produce --in-flight 1 --duration 5s
  caudal bench produce --topic flights --rate 50k/s --no-verify --output json";

/// How long a run lasts unless told otherwise.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// How long a batch waits for more records unless told otherwise.
const LINGER_DEFAULT: Duration = Duration::from_millis(1);

/// How fast records are written and acknowledged
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Write to this topic [default: one is made, and removed]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Partitions of the topic that is made
    #[arg(short, long, value_name = "N", conflicts_with = "topic")]
    partitions: Option<i32>,
    /// Replicas of the topic that is made
    #[arg(short, long, value_name = "N", conflicts_with = "topic")]
    replicas: Option<i32>,
    /// A configuration value of the topic that is made
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = config_pair, conflicts_with = "topic")]
    configs: Vec<Pair>,
    /// Bytes of each value, 24 at least; half of them random
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_size)]
    size: u64,
    /// Records a second, over all producers: max, 1000/s, 50k/s
    #[arg(long, value_name = "RATE", default_value = "max")]
    rate: Rate,
    /// How long records are sent [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "records")]
    duration: Option<Duration>,
    /// How many records are sent, over all producers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Records of one producer that are not acknowledged at once [default: as many as its buffer holds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    in_flight: Option<u64>,
    /// The largest batch
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    batch: u64,
    /// How long a batch waits for more records [default: 1ms; 0 with --in-flight 1]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    linger: Option<Duration>,
    /// Producers, each with a connection and a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    producers: u32,
    /// When a record counts as written: all, leader, none
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = parse_acks, allow_hyphen_values = true)]
    acks: Acks,
    /// How batches are compressed
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", value_parser = parse_codec)]
    compression: Codec,
    /// Do not read the records back
    #[arg(long)]
    no_verify: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let run = draw_run()?;
    let pool = Arc::new(Pool::new(run, args.size)?);
    let wish = Wish { partitions: args.partitions, replicas: args.replicas, configs: args.configs.clone() };
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
    let before = topic.ends().await?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let load = load(context, args, topic, &pool, &acknowledged);
    let progress = Progress::start(context, "writing", acknowledged);
    let (took, sent) = send(load, args).await?;
    drop(progress);

    let mut latencies = Latencies::new()?;
    sent.iter().for_each(|sent| latencies.merge(&sent.latencies));
    let counts: Vec<u64> = sent.iter().map(|sent| sent.records).collect();
    let records: u64 = counts.iter().sum();
    let verified = if args.no_verify {
        None
    } else {
        let read_back = ReadBack {
            client: context.client.clone(),
            topic: topic.name.clone(),
            pool,
            ranges: topic.ranges(before, &sent).await?,
            sent: counts,
            complete: args.acks != Acks::None,
        };
        Some(read_back.run().await?)
    };
    let bytes = records.saturating_mul(args.size);
    Ok(Report::new("produce", &topic.name, records, bytes, took, &latencies).verified(verified))
}

fn load(
    context: &Context,
    args: &Args,
    topic: &BenchTopic,
    pool: &Arc<Pool>,
    acknowledged: &Arc<AtomicU64>,
) -> Load {
    let linger = if args.in_flight == Some(1) { Duration::ZERO } else { LINGER_DEFAULT };
    let producer = ProducerConfig {
        acks: args.acks,
        codec: args.compression,
        linger: args.linger.unwrap_or(linger),
        batch_bytes: usize::try_from(args.batch).unwrap_or(usize::MAX),
        ..ProducerConfig::default()
    };
    Load {
        client: context.client.clone(),
        producer,
        topic: topic.name.clone(),
        pool: pool.clone(),
        pace: Pace::new(args.rate, u64::from(args.producers)),
        until: Until::Duration(args.duration.unwrap_or(DURATION_DEFAULT)),
        in_flight: args.in_flight.unwrap_or(u64::MAX),
        acknowledged: acknowledged.clone(),
    }
}

/// Runs the senders, all from the same moment; answers with how long it took until the last acknowledgement.
async fn send(load: Load, args: &Args) -> Result<(Duration, Vec<Sent>), Failure> {
    let senders = u64::from(args.producers);
    let (start, _) = tokio::sync::broadcast::channel(1);
    let mut connected = Vec::new();
    let mut running = Vec::new();
    for number in 0..args.producers {
        let mut load = load.clone();
        if let Some(records) = args.records {
            // The first ones take what does not divide.
            let more = u64::from(u64::from(number) < records % senders);
            load.until = Until::Records(records / senders + more);
        }
        let mut begin = start.subscribe();
        let (tell, ready) = tokio::sync::oneshot::channel();
        connected.push(ready);
        running.push(threads::spawn(format!("producer-{number}"), move || async move {
            let sender = Sender::connect(load, number).await?;
            let _ = tell.send(());
            match begin.recv().await {
                Ok(began) => sender.run(began).await,
                Err(_) => Err(Failure::refused("another producer did not connect")),
            }
        })?);
    }
    let mut all = true;
    for ready in connected {
        all &= ready.await.is_ok();
    }
    let began = clock::now();
    if all {
        // Each sender holds a receiver.
        let _ = start.send(began);
    }
    drop(start);
    let mut sent = Vec::new();
    let mut failure = None;
    for running in running {
        match running.result().await {
            Ok(done) => sent.push(done),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => {
            let ended = sent.iter().map(|sent| sent.ended).max().unwrap_or(began);
            Ok((ended.saturating_duration_since(began), sent))
        }
    }
}
