//! `caudal produce`: records from stdin, acknowledged before it ends.
//!
//! A thread reads and parses ([`input`]), the SDK sends, the [`ledger`] knows which input lines wait for which batch.

mod flight;
mod input;
mod ledger;
mod run;

use std::str::FromStr;
use std::time::Duration;

use caudal_client::Acks;
use caudal_proto::batch::Codec;

use crate::format::{Printer, Steps};
use crate::values::{Pair, parse_duration};

pub(crate) use run::run;

const EXAMPLES: &str = r"Examples:
  caudal produce flights < flights.csv
  echo 'hello' | caudal produce greetings -k alice -H lang=en
  caudal produce orders -f '%k\t%v\n' -z zstd < orders.tsv
  caudal produce orders -f '%K{big32}%V{big32}%k%v' < orders.bin
  caudal produce users -f '%k %v\n' --tombstone --print '%k %p@%o\n' < changes.txt

Formats (input, and --print):
  %t %T topic and its length    %k %K key    %v %V value    %h{…} %H headers and their number
  %p partition    %d timestamp in ms    %o offset, %e leader epoch, %i count: only printed
  %% %{ %} \n \t \r \\ \xNN stand for themselves
  numbers: {ascii} {hex64…4} {big64…8} {little64…8} {byte} {bool}, lengths also {4}; texts: {hex} {base64} {base64raw}
  A text ends at the literal behind it, or has its length before it: '%K{4}%V{4}%k%v'";

/// Write records from stdin to a topic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Where records go, unless the format reads %t
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// To this partition, unless the format reads %p [default: the key chooses, or partitions take turns]
    #[arg(short, long, value_name = "P")]
    partition: Option<i32>,
    /// The key of every record [default: null]
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// A header of every record
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE")]
    headers: Vec<Pair>,
    /// How the input is read
    #[arg(short, long, value_name = "FORMAT", default_value = r"%v\n", value_parser = Steps::new, allow_hyphen_values = true)]
    format: Steps,
    /// How batches are compressed
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none", value_parser = parse_codec)]
    compression: Codec,
    /// When a record counts as written: all (-1), leader (1), none (0)
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = parse_acks, allow_hyphen_values = true)]
    acks: Acks,
    /// How long a record may stay unacknowledged, with all retries, before it counts as failed
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "2m")]
    delivery_timeout: Duration,
    /// An empty value is null: it removes its key where a topic is compacted
    #[arg(long)]
    tombstone: bool,
    /// Print each acknowledged record
    #[arg(long, value_name = "FORMAT", value_parser = Printer::new, allow_hyphen_values = true)]
    print: Option<Printer>,
}

/// Codecs by name.
pub(crate) fn parse_codec(text: &str) -> Result<Codec, String> {
    Codec::from_str(text).map_err(|_| format!("{text:?} is no codec: write none, gzip, snappy, lz4 or zstd"))
}

/// Acknowledgements by Caudal's name or by Kafka's number.
pub(crate) fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "leader" | "1" => Ok(Acks::Leader),
        "none" | "0" => Ok(Acks::None),
        _ => Err(format!("{text:?} is no acknowledgement: write all, leader or none (-1, 1 or 0)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_have_names_and_kafkas_numbers() {
        for (texts, acks) in
            [(["all", "-1"], Acks::All), (["leader", "1"], Acks::Leader), (["none", "0"], Acks::None)]
        {
            for text in texts {
                assert_eq!(parse_acks(text).unwrap(), acks);
            }
        }
        assert!(parse_acks("2").is_err() && parse_acks("").is_err());
        assert!(parse_codec("zstd").is_ok() && parse_codec("brotli").is_err());
    }
}
