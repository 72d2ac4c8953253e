//! `caudal consume`: records to stdout, each partition in its order.

mod document;
mod plan;
mod run;

use std::str::FromStr;

use crate::format::Printer;
use crate::values::OffsetRange;

pub(crate) use run::run;

const EXAMPLES: &str = r"Examples:
  caudal consume flights -e
  caudal consume flights -o end
  caudal consume flights -p 3 -o 1000:2000 -f '%o %k=%v\n'
  caudal consume orders payments -o @-1h -f json | jq .value
  caudal consume flights -o -10 -n 10 -f '%d{strftime[%F %T]} %v\n'

Offsets:
  start, end    N    -N (N before the end)    +N (N after the start)    N:M (M excluded)
  @TIME    @A:@B (B excluded)    TIME: 2026-11-25T08:00:00Z, 2026-11-25, milliseconds, or -1h

Formats:
  %t %T topic and its length    %k %K key    %v %V value    %h{…} %H headers and their number
  %p partition    %o offset    %e leader epoch    %d timestamp in ms    %i count of printed records
  %% %{ %} \n \t \r \\ \xNN stand for themselves
  numbers: {ascii} {hex64…4} {big64…8} {little64…8} {byte} {bool}; texts: {hex} {base64} {base64raw}
  json: one object a record; bytes that are not UTF-8 are base64, marked by key_encoding or value_encoding";

/// Read records of topics
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only this partition; may be given several times [default: all]
    #[arg(short, long = "partition", value_name = "P")]
    partitions: Vec<i32>,
    /// Where to begin and, perhaps, stop
    #[arg(short, long, value_name = "OFFSET", default_value = "start", allow_hyphen_values = true)]
    offset: OffsetRange,
    /// Stop after so many records in all
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<u64>,
    /// Stop at the ends as they are when the command begins
    #[arg(short = 'e', long = "exit-at-end")]
    exit_at_end: bool,
    /// How records are printed, or json
    #[arg(short, long, value_name = "FORMAT", value_parser = RecordForm::from_str, allow_hyphen_values = true)]
    format: Option<RecordForm>,
    /// Which transactions are seen; nothing is transactional yet, so both see all
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Isolation::Committed)]
    isolation: Isolation,
}

/// How records are printed.
#[derive(Debug, Clone)]
pub(crate) enum RecordForm {
    /// One JSON object a line.
    Json,
    /// By a format.
    Letters(Printer),
}

impl FromStr for RecordForm {
    type Err = String;

    fn from_str(text: &str) -> Result<RecordForm, String> {
        if text == "json" {
            return Ok(RecordForm::Json);
        }
        if text.is_empty() {
            return Err("an empty format prints nothing: write '%v\\n' or json".to_owned());
        }
        Printer::new(text).map(RecordForm::Letters)
    }
}

/// Which transactions are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Isolation {
    /// Records of committed transactions, and of none.
    Committed,
    /// All records.
    Uncommitted,
}
