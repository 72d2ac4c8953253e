//! Runs `caudal produce`: input lines in, acknowledgements out, and a summary.

use std::io;

use caudal_client::{Acks, Producer};
use serde::Serialize;

use super::Args;
use super::flight::Flight;
use super::input;
use super::ledger::{FailedRange, Ledger};
use crate::clock;
use crate::context::Context;
use crate::counted::counted;
use crate::failure::{Code, Failure};
use crate::format::InputError;
use crate::values::show_size;

/// What the records of the input have in common.
pub(super) struct Defaults {
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) tombstone: bool,
}

/// Why reading ended.
enum Ended {
    /// With the input.
    AtEnd,
    /// The input does not fit the format.
    Misread(InputError),
    /// A failure that the next records would share.
    Failed,
    /// By the user.
    Interrupted,
}

#[derive(Serialize)]
struct Document<'a> {
    records: u64,
    bytes: u64,
    partitions: usize,
    seconds: f64,
    failed_records: u64,
    failed: &'a [FailedRange],
}

/// Runs the command. It hears SIGINT itself, so that it can say how far it came.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.print.is_some() && args.acks == Acks::None {
        return Err(Failure::usage("--print shows acknowledged records: with --acks none there are none"));
    }
    if args.print.is_some() && context.json {
        return Err(Failure::usage("--print and --output json both write to stdout: choose one"));
    }
    if args.key.is_some() && args.format.has_key {
        return Err(Failure::usage(
            "-k gives every record one key, and the format reads one with %k: choose one",
        ));
    }
    let client = context.connect().await?;
    if !args.format.has_topic {
        // Found missing before the first record, also where there is none.
        client.admin().partitions(&args.topic).await?;
    }
    let producer = client
        .producer()
        .acks(args.acks)
        .codec(args.compression)
        .delivery_timeout(args.delivery_timeout)
        .build()
        .await?;
    let defaults = Defaults {
        topic: args.topic,
        partition: args.partition,
        key: args.key.map(String::into_bytes),
        headers: args.headers.into_iter().map(|pair| (pair.key, pair.value.into_bytes())).collect(),
        tombstone: args.tombstone,
    };
    let mut groups = input::read(io::stdin(), args.format)?;
    let mut flight = Flight::new(producer.clone(), defaults, args.print);
    let began = clock::now();
    let ended = tokio::select! {
        ended = pump(&mut groups, &mut flight, &producer) => ended?,
        _ = tokio::signal::ctrl_c() => Ended::Interrupted,
    };
    let seconds = clock::now().duration_since(began).as_secs_f64();
    let waiting = flight.waiting();
    summarize(context, &mut flight.ledger, ended, waiting, seconds)
}

/// Sends what the input brings and waits for every acknowledgement.
async fn pump(
    groups: &mut tokio::sync::mpsc::Receiver<Result<Vec<crate::format::Input>, InputError>>,
    flight: &mut Flight,
    producer: &Producer,
) -> Result<Ended, Failure> {
    let ended = loop {
        tokio::select! {
            group = groups.recv() => match group {
                None => break Ended::AtEnd,
                Some(Err(error)) => break Ended::Misread(error),
                Some(Ok(records)) => {
                    for record in records {
                        flight.send(record).await;
                    }
                    // `send` does not wait while there is room: let the sender have its turn.
                    tokio::task::yield_now().await;
                }
            },
            settled = flight.settle() => settled?,
        }
        if flight.is_hopeless() {
            break Ended::Failed;
        }
    };
    // Each failure reaches the ledger through its own delivery.
    drop(producer.flush().await);
    while flight.waiting() > 0 {
        flight.settle().await?;
    }
    Ok(ended)
}

fn summarize(
    context: &Context,
    ledger: &mut Ledger,
    ended: Ended,
    waiting: u64,
    seconds: f64,
) -> Result<(), Failure> {
    let (records, bytes, partitions) = (ledger.records, ledger.bytes, ledger.partitions());
    let failed_records = ledger.failed_records();
    let code = ledger.code();
    for range in ledger.failed() {
        eprintln!("error: {}", range.line());
    }
    let size = show_size(bytes);
    let (sent, places) = (counted(records, "record"), counted(partitions as u64, "partition"));
    context.note(&format!("{sent}, {size}, {places} acknowledged in {seconds:.2} s"));
    if context.json {
        let failed = ledger.failed();
        context.print_json(&Document { records, bytes, partitions, seconds, failed_records, failed })?;
    }
    let partly = |code| if records > 0 { Code::Partly } else { code };
    match ended {
        Ended::Interrupted => {
            let unknown = counted(waiting, "record");
            context.note(&format!("{unknown} on the way: written or not, nobody knows"));
            Err(Failure::interrupted())
        }
        Ended::Misread(error) => {
            let line = format!("{error}; nothing from there on was sent");
            Err(Failure::new(partly(Code::Refused), line).caused_by(error))
        }
        Ended::AtEnd | Ended::Failed => match code {
            None => Ok(()),
            Some(code) => {
                let rest = if matches!(ended, Ended::Failed) {
                    ", and the rest of the input was not sent"
                } else {
                    ""
                };
                let failed = counted(failed_records, "record");
                Err(Failure::new(code, format!("{failed} not acknowledged{rest}")))
            }
        },
    }
}
