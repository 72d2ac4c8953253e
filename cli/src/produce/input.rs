//! The thread that reads stdin and parses it.

use std::io::{BufReader, Read};
use std::thread;

use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::format::{Input, InputError, Parser, Steps};

/// Bytes read from stdin at once.
const READ_BYTES: usize = 256 * 1024;

/// Records handed over at once, at most.
const GROUP_RECORDS: usize = 1024;

/// Bytes of records handed over at once, about.
const GROUP_BYTES: usize = 256 * 1024;

/// Groups that wait for the sender; the thread waits when they are this many.
const GROUPS_WAITING: usize = 4;

/// Starts reading. The last message is an error, if there is one; the channel closes at the end of the input.
pub(super) fn read<R: Read + Send + 'static>(
    input: R,
    steps: Steps,
) -> Result<mpsc::Receiver<Result<Vec<Input>, InputError>>, Failure> {
    let (groups, receiver) = mpsc::channel(GROUPS_WAITING);
    let parser = Parser::new(BufReader::with_capacity(READ_BYTES, input), steps);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || pump(parser, &groups))
        .map_err(|error| Failure::io("starting the thread that reads stdin", error))?;
    Ok(receiver)
}

fn pump<R: Read>(mut parser: Parser<BufReader<R>>, groups: &mpsc::Sender<Result<Vec<Input>, InputError>>) {
    let mut group = Vec::new();
    let mut bytes = 0;
    loop {
        match parser.next_record() {
            Ok(Some(record)) => {
                bytes += record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
                group.push(record);
                // What has come is not held back for what has not.
                let waits = parser.input().buffer().is_empty();
                if !waits && group.len() < GROUP_RECORDS && bytes < GROUP_BYTES {
                    continue;
                }
                bytes = 0;
                if groups.blocking_send(Ok(std::mem::take(&mut group))).is_err() {
                    return;
                }
            }
            Ok(None) => {
                if !group.is_empty() {
                    drop(groups.blocking_send(Ok(group)));
                }
                return;
            }
            Err(error) => {
                if !group.is_empty() && groups.blocking_send(Ok(group)).is_err() {
                    return;
                }
                drop(groups.blocking_send(Err(error)));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(input: &'static [u8]) -> (Vec<Vec<u8>>, Option<InputError>) {
        let mut groups = read(input, Steps::new("%k=%v\n").unwrap()).unwrap();
        let (mut values, mut failed) = (Vec::new(), None);
        while let Some(group) = groups.blocking_recv() {
            match group {
                Ok(group) => values.extend(group.into_iter().filter_map(|record| record.value)),
                Err(error) => failed = Some(error),
            }
        }
        (values, failed)
    }

    #[test]
    fn records_before_a_bad_one_are_handed_over() {
        let (values, failed) = collect(b"k=one\nk=two\nk");
        assert_eq!(values, [b"one".to_vec(), b"two".to_vec()]);
        assert!(matches!(failed, Some(InputError::Mismatch { line: 3, .. })), "{failed:?}");
        let (values, failed) = collect(b"k=one\n");
        assert_eq!((values.len(), failed.is_none()), (1, true));
    }
}
