//! Runs `caudal consume`.

use caudal_client::{Client, Consumer, Error, ErrorKind, Record, Start};

use super::{Args, RecordForm, document, plan};
use crate::clock;
use crate::context::{Context, print};
use crate::counted::counted;
use crate::failure::{Code, Failure, one_line};
use crate::format::{Printer, View};

/// Bytes printed at once, about.
const WRITE_BYTES: usize = 256 * 1024;

/// Runs the command.
pub(crate) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let form = match args.format.clone() {
        Some(form) => form,
        None if context.json => RecordForm::Json,
        None => RecordForm::Letters(Printer::new(r"%v\n").map_err(Failure::usage)?),
    };
    if args.count == Some(0) {
        return Ok(());
    }
    let client = context.connect().await?;
    let mut consumer = client.consumer().build().await?;
    let assigned = assign(context, &client, &mut consumer, &args).await?;
    if assigned == 0 {
        return Ok(());
    }
    let mut reading = Reading { consumer, form, left: args.count, damaged: 0 };
    reading.read().await?;
    match reading.damaged {
        0 => Ok(()),
        n => {
            let left_out = counted(n, "damaged range");
            Err(Failure::new(Code::Partly, format!("{left_out} left out: see the lines above")))
        }
    }
}

/// Assigns every partition; answers with how many.
async fn assign(
    context: &Context,
    client: &Client,
    consumer: &mut Consumer,
    args: &Args,
) -> Result<usize, Failure> {
    let admin = client.admin();
    let now_ms = clock::wall_ms();
    let mut assigned = 0;
    let mut topics: Vec<&String> = args.topics.iter().collect();
    topics.sort();
    topics.dedup();
    for topic in topics {
        let mut partitions = admin.partitions(topic).await?;
        if !args.partitions.is_empty() {
            // One that is not there is refused by name below.
            partitions.clone_from(&args.partitions);
            partitions.sort_unstable();
            partitions.dedup();
        }
        let courses =
            plan::courses(&admin, topic, &partitions, args.offset, args.exit_at_end, now_ms).await?;
        for course in courses {
            let partition = course.partition;
            let first = match course.stop {
                Some(stop) => consumer.assign_until(topic, partition, course.start, stop).await?,
                None => consumer.assign(topic, partition, course.start).await?,
            };
            let stop = course.stop.map_or("on".to_owned(), |stop| format!("to {stop} excluded"));
            context.detail(&format!("{topic}:{partition} from offset {first} {stop}"));
            assigned += 1;
        }
    }
    Ok(assigned)
}

struct Reading {
    consumer: Consumer,
    form: RecordForm,
    /// Records still to print; `None` is without bound.
    left: Option<u64>,
    damaged: u64,
}

impl Reading {
    async fn read(&mut self) -> Result<(), Failure> {
        let mut out = Vec::new();
        loop {
            let batch = match self.consumer.next_batch().await {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.skip_damage(&error).await?;
                    continue;
                }
            };
            for record in batch {
                match record {
                    Ok(record) => self.print(&record, &mut out)?,
                    Err(error) => {
                        print(&std::mem::take(&mut out))?;
                        self.skip_damage(&error).await?;
                        break;
                    }
                }
                if out.len() >= WRITE_BYTES {
                    print(&out)?;
                    out.clear();
                }
                if self.left == Some(0) {
                    return print(&out);
                }
            }
            print(&out)?;
            out.clear();
        }
    }

    fn print(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), Failure> {
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        match &mut self.form {
            RecordForm::Json => document::write(record, out)
                .map_err(|error| Failure::refused(format!("a record does not fit JSON: {error}"))),
            RecordForm::Letters(printer) => {
                let view = View {
                    topic: &record.topic,
                    partition: record.partition,
                    offset: record.offset,
                    leader_epoch: record.leader_epoch,
                    timestamp: record.timestamp_ms,
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                    headers: record.headers.iter().map(|h| (h.key.as_ref(), h.value.as_deref())).collect(),
                };
                printer.print(&view, out);
                Ok(())
            }
        }
    }

    /// Names a damaged range and goes on behind it. Any other error ends the command.
    async fn skip_damage(&mut self, error: &Error) -> Result<(), Failure> {
        let place = (error.kind() == ErrorKind::Damaged).then(|| damaged_place(error)).flatten();
        let Some((topic, partition, last)) = place else {
            let failure = Failure::from(error.clone());
            return Err(match (error.metadata().get("topic"), error.metadata().get("partition")) {
                (Some(topic), Some(partition)) => failure.about(format!("{topic}:{partition}")),
                _ => failure,
            });
        };
        eprintln!("error: {topic}:{partition}: {}", one_line(&error.to_string()));
        self.damaged += 1;
        self.consumer.seek(&topic, partition, Start::Offset(last + 1)).await?;
        Ok(())
    }
}

/// The topic, the partition and the last damaged offset.
fn damaged_place(error: &Error) -> Option<(String, i32, i64)> {
    let value = |key: &str| error.metadata().get(key);
    let last = value("last_offset").or_else(|| value("offset"))?.parse().ok()?;
    Some((value("topic")?.clone(), value("partition")?.parse().ok()?, last))
}
