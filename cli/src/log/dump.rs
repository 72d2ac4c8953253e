//! `caudal log dump`.

use std::path::PathBuf;

use super::entry::{COLUMNS, EntryDocument};
use super::files::{Found, find};
use super::verify::{meta_of, surroundings};
use super::walk::{BadRange, Step, Walk};
use crate::context::{Context, print};
use crate::counted::counted;
use crate::failure::Failure;

const EXAMPLES: &str = "Examples:
  caudal log dump ./caudal-data
  caudal log dump 0000000001.log --from 1000 -n 5 --records
  caudal log dump ./caudal-data --output json";

/// Print the entries of logs
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A segment, a partition's folder, or a data folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Begin at the entry that holds this offset
    #[arg(long, value_name = "OFFSET")]
    from: Option<i64>,
    /// Stop after so many entries
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
    /// Print the records of each batch, too
    #[arg(long)]
    records: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut dump = Dump { json: context.json, left: args.count, printed: 0, bad: 0 };
    dump.begin()?;
    let walked = dump.logs(args);
    dump.end()?;
    walked?;
    match dump.bad {
        0 => Ok(()),
        n => Err(Failure::refused(format!(
            "{}: {} left out",
            args.path.display(),
            counted(n as u64, "bad range")
        ))),
    }
}

struct Dump {
    json: bool,
    /// Entries still to print; `None` is without bound.
    left: Option<u64>,
    printed: u64,
    bad: usize,
}

impl Dump {
    fn logs(&mut self, args: &Args) -> Result<(), Failure> {
        let Found { logs, meta } = find(&args.path)?;
        for log in &logs {
            let meta = meta_of(log, &meta);
            let mut before = None;
            for (at, path) in log.segments.iter().enumerate() {
                let failure = |error: std::io::Error| {
                    Failure::refused(format!("{}: {error}", path.display())).caused_by(error)
                };
                let newest = log.has_newest && at + 1 == log.segments.len();
                let mut walk = Walk::open(path, surroundings(newest, &meta, before)).map_err(failure)?;
                let name = path.display().to_string();
                self.segment(&name, &walk)?;
                while let Some(step) = walk.step().map_err(failure)? {
                    if self.left == Some(0) {
                        return Ok(());
                    }
                    self.step(&name, step, args)?;
                }
                // A damaged end was named already.
                before = walk.tip().filter(|_| self.bad == 0);
            }
        }
        Ok(())
    }

    fn step(&mut self, path: &str, step: Step, args: &Args) -> Result<(), Failure> {
        match step {
            Step::Frame { header, .. } if args.from.is_some_and(|from| header.next_offset().0 <= from) => {
                Ok(())
            }
            Step::Frame { position, header, payload } => {
                if let Some(left) = &mut self.left {
                    *left -= 1;
                }
                self.entry(&EntryDocument::new(path, position, &header, &payload, args.records))
            }
            Step::Bad(BadRange { from, to, why, .. }) => {
                self.bad += 1;
                eprintln!("error: {path}: bytes {from} to {to} excluded: {why}");
                Ok(())
            }
            Step::Torn { position, bytes } => {
                eprintln!(
                    "{path}: a torn tail of {bytes} bytes at {position}: the broker cuts it when it opens the log"
                );
                Ok(())
            }
        }
    }

    fn begin(&self) -> Result<(), Failure> {
        if self.json { print(b"{\"entries\":[") } else { print(format!("{COLUMNS}\n").as_bytes()) }
    }

    fn segment(&self, path: &str, walk: &Walk) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        let whose = match walk.header() {
            Some(header) => {
                format!("{} generation {} segment {}", header.partition, header.generation, header.sequence)
            }
            None => "damaged header".to_owned(),
        };
        print(format!("{path} ({whose})\n").as_bytes())
    }

    fn entry(&mut self, entry: &EntryDocument) -> Result<(), Failure> {
        let text = if self.json {
            let comma = if self.printed == 0 { "\n" } else { ",\n" };
            let json = serde_json::to_string(entry)
                .map_err(|error| Failure::refused(format!("an entry does not fit JSON: {error}")))?;
            format!("{comma}{json}")
        } else {
            entry.lines()
        };
        self.printed += 1;
        print(text.as_bytes())
    }

    fn end(&self) -> Result<(), Failure> {
        if self.json { print(b"\n]}\n") } else { Ok(()) }
    }
}
