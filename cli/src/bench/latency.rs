//! `caudal bench latency`: from the intended send time to the reader, open loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use caudal_client::{Acks, Client, ClientConfig, ProducerConfig, Start};
use tokio::sync::oneshot;

use super::pace::Pace;
use super::payload::{Pool, draw_run};
use super::progress::Progress;
use super::read_back::Seen;
use super::report::{Latencies, Report};
use super::sender::{Load, Sender, Sent, Until};
use super::topic::{BenchTopic, Wish};
use crate::clock;
use crate::context::Context;
use crate::failure::Failure;
use crate::produce::parse_acks;
use crate::threads;
use crate::values::{Pair, Rate, config_pair, parse_duration, parse_size};

const EXAMPLES: &str = "Examples:
  caudal bench latency
  caudal bench latency --rate 10k/s --duration 30s
  caudal bench latency -c durability=memory --size 100 --output json";

/// How long the reader waits for the last records once the sender is done.
const LAST_RECORDS: Duration = Duration::from_secs(30);

/// How long a record takes from the time it should have been sent to the reader's hands
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Use this topic [default: one is made, and removed]
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// A configuration value of the topic that is made
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = config_pair, conflicts_with = "topic")]
    configs: Vec<Pair>,
    /// Bytes of each value, 24 at least; half of them random
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_size)]
    size: u64,
    /// Records a second: 1000/s, 50k/s
    #[arg(long, value_name = "RATE", default_value = "1000/s")]
    rate: Rate,
    /// How long records are sent
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How long a batch waits for more records
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    linger: Duration,
    /// When a record counts as written: all, leader, none
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = parse_acks, allow_hyphen_values = true)]
    acks: Acks,
    /// Do not check the values that are read
    #[arg(long)]
    no_verify: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.rate == Rate::Max {
        return Err(Failure::usage("--rate max has no intended send times to count from: write 1000/s"));
    }
    let run = draw_run()?;
    let pool = Arc::new(Pool::new(run, args.size)?);
    let wish = Wish { configs: args.configs.clone(), ..Wish::default() };
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
    let received = Arc::new(AtomicU64::new(0));
    let load = Load {
        client: context.client.clone(),
        producer: ProducerConfig { acks: args.acks, linger: args.linger, ..ProducerConfig::default() },
        topic: topic.name.clone(),
        pool: pool.clone(),
        pace: Pace::new(args.rate, 1),
        until: Until::Duration(args.duration),
        in_flight: u64::MAX,
        acknowledged: Arc::new(AtomicU64::new(0)),
    };
    let (connected, sender_ready) = oneshot::channel();
    let (start_sender, begin) = oneshot::channel::<Instant>();
    let sender = threads::spawn("producer-0".to_owned(), move || async move {
        let sender = Sender::connect(load, 0).await?;
        let _ = connected.send(());
        match begin.await {
            Ok(began) => sender.run(began).await,
            Err(_) => Err(Failure::refused("the reader did not connect")),
        }
    })?;
    let (assigned, reader_ready) = oneshot::channel();
    let (start_reader, begin) = oneshot::channel::<Instant>();
    let (tell_sent, sent) = oneshot::channel::<u64>();
    let reader = Reader {
        client: context.client.clone(),
        topic: topic.name.clone(),
        ends: topic.ends().await?,
        pool,
        verify: !args.no_verify,
        received: received.clone(),
        latencies: Latencies::new()?,
        seen: Seen::new(1),
    };
    let reader = threads::spawn("reader".to_owned(), move || reader.run(assigned, begin, sent))?;

    if sender_ready.await.is_err() {
        return Err(failure_of(sender.result().await));
    }
    if reader_ready.await.is_err() {
        return Err(failure_of(reader.result().await));
    }
    let progress = Progress::start(context, "records from end to end", received);
    let began = clock::now();
    let _ = start_reader.send(began);
    let _ = start_sender.send(began);
    let Sent { records, .. } = sender.result().await?;
    let _ = tell_sent.send(records);
    let read = reader.result().await?;
    drop(progress);
    if args.acks != Acks::None && read.seen.records != records {
        return Err(Failure::refused(format!("{} of {records} records were read", read.seen.records)));
    }
    let took = read.ended.saturating_duration_since(began);
    let bytes = read.seen.records.saturating_mul(args.size);
    let verified = (!args.no_verify).then_some(read.seen.records);
    Ok(Report::new("latency", &topic.name, read.seen.records, bytes, took, &read.latencies)
        .verified(verified))
}

fn failure_of<T>(outcome: Result<T, Failure>) -> Failure {
    match outcome {
        Err(failure) => failure,
        Ok(_) => Failure::refused("a thread of the benchmark ended before it began"),
    }
}

/// Reads records as they come.
struct Reader {
    client: ClientConfig,
    topic: String,
    ends: Vec<(i32, i64)>,
    pool: Arc<Pool>,
    verify: bool,
    received: Arc<AtomicU64>,
    latencies: Latencies,
    seen: Seen,
}

/// What a reader found.
struct Read {
    latencies: Latencies,
    seen: Seen,
    /// When the last record came.
    ended: Instant,
}

impl Reader {
    async fn run(
        mut self,
        assigned: oneshot::Sender<()>,
        begin: oneshot::Receiver<Instant>,
        mut sent: oneshot::Receiver<u64>,
    ) -> Result<Read, Failure> {
        let client = Client::with_config(self.client.clone()).await?;
        let mut consumer = client.consumer().build().await?;
        for (partition, end) in &self.ends {
            consumer.assign(&self.topic, *partition, Start::Offset(*end)).await?;
        }
        let _ = assigned.send(());
        let Ok(began) = begin.await else {
            return Err(Failure::refused("the sender did not connect"));
        };
        let mut ended = began;
        let mut expected = None;
        while expected.is_none_or(|expected| self.seen.records < expected) {
            let batch = tokio::select! {
                batch = consumer.next_batch() => batch?,
                count = &mut sent, if expected.is_none() => {
                    let Ok(count) = count else { break };
                    expected = Some(count);
                    continue;
                }
                () = tokio::time::sleep(LAST_RECORDS), if expected.is_some() => break,
            };
            let now = clock::now();
            let Some(batch) = batch else { break };
            for record in batch {
                let record = record?;
                if self
                    .take(record.value.as_deref().unwrap_or_default(), now.saturating_duration_since(began))?
                {
                    ended = now;
                }
            }
        }
        Ok(Read { latencies: self.latencies, seen: self.seen, ended })
    }

    /// Counts a value if it is of this run.
    fn take(&mut self, value: &[u8], now: Duration) -> Result<bool, Failure> {
        let stamp = if self.verify { self.pool.check(value) } else { self.pool.stamp(value) };
        let Some(stamp) = stamp else {
            if self.pool.stamp(value).is_some() {
                return Err(Failure::refused("a value changed on its way"));
            }
            return Ok(false);
        };
        self.seen.mark(stamp, &[u64::MAX]).map_err(Failure::refused)?;
        self.latencies.add(now.saturating_sub(Duration::from_nanos(stamp.intended_ns)), 1);
        self.received.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}
