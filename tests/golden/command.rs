//! The commands of a script.
//!
//! * `seed N`, `start`, `stopping` (refuse what is new), `stop` (finish, and end), `crash power`, `crash process`
//! * `create NAME [partitions=N] [KEY=VALUE…]`, `alter NAME [KEY=VALUE…]`, `delete NAME`, `new-producer`
//! * `produce T:P [acks=…] [producer=N epoch=N seq=N] [time=+MS] [transactional] VALUE…`; `a*70000` is a long value
//! * `trim T:P before=N`, `read T:P [from=N]`, `files`
//! * `pass [SHARD]`, `sync`, `run` (both until nothing more happens), `tick N`, `clock +MS`
//! * `recover T:P [dry=1]`: it goes on from what is left
//! * `peer-up NODE`: another broker is heard
//! * `quota +N` over what is used, `quota none`, `fail sync|write|read|remove FILE [after=N]`, `cut after=N`, `flip FILE at=N`
//! * `quietly COMMAND` and `repeat N COMMAND`: that, and a run, without a trace

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use caudal_broker::ids::{NodeId, Offset, PartitionId};
use caudal_broker::log::{Fs, OpenMode, ReadError};
use caudal_broker::node::{Acks, Batch, Input};
use caudal_broker::runtime::shard::ShardInput;
use caudal_broker::state::{NewTopic, Request, TopicAlteration};
use caudal_harness::lying_fs::{Crash, Fault, Op, ROOT};
use caudal_proto::batch::{self, Builder, Codec, Producer};

use crate::world::World;

/// The bit of a transactional batch's attributes.
const TRANSACTIONAL: i16 = 1 << 4;

/// The words of a command: plain ones, and those of the form `key=value`.
struct Words<'a> {
    plain: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Words<'a> {
        let (named, plain): (Vec<&str>, Vec<&str>) =
            text.split_whitespace().partition(|word| word.contains('='));
        Words { plain, named: named.iter().filter_map(|word| word.split_once('=')).collect() }
    }

    fn first(&self) -> Result<&'a str, String> {
        self.plain.first().copied().ok_or("a name is missing".to_owned())
    }

    /// A number, taken out.
    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(text) = self.named.remove(key) else { return Ok(None) };
        text.trim_start_matches('+').parse().map(Some).map_err(|_| format!("{key}={text} is no number"))
    }

    fn needed<T: std::str::FromStr>(&mut self, key: &str) -> Result<T, String> {
        self.number(key)?.ok_or(format!("{key}=… is missing"))
    }

    /// Nothing that was named is left.
    fn end(&self) -> Result<(), String> {
        match self.named.keys().next() {
            Some(key) => Err(format!("{key}=… means nothing here")),
            None => Ok(()),
        }
    }

    /// What was named and is left: configuration.
    fn configs(&self) -> BTreeMap<String, String> {
        self.named.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }
}

impl World {
    /// Carries out a command.
    pub(crate) fn command(&mut self, text: &str) -> Result<(), String> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "quietly" => return self.quietly(1, rest),
            "repeat" => {
                let (count, rest) = rest.split_once(' ').ok_or("repeat N COMMAND")?;
                return self.quietly(number(count)?, rest);
            }
            _ => {}
        }
        let words = Words::of(rest);
        match verb {
            "seed" => self.fs = World::disk(number(words.first()?)?),
            "start" => self.start()?,
            "stop" => self.stop()?,
            "stopping" => self.stopping()?,
            "crash" => match words.first()? {
                "power" => self.crash(Crash::PowerDies),
                "process" => self.crash(Crash::ProcessDies),
                other => return Err(format!("{other:?} is no crash")),
            },
            "create" | "alter" | "delete" | "new-producer" => return self.control(verb, words),
            "produce" => return self.produce(words),
            "trim" => return self.trim(words),
            "read" => return self.read(words),
            "files" => self.files(Path::new(ROOT))?,
            "pass" if words.plain.is_empty() => self.pass_all()?,
            "pass" => self.pass(number(words.first()?)?)?,
            "sync" => self.sync()?,
            "run" => self.run()?,
            "tick" => self.tick(number(words.first()?)?)?,
            "recover" => return self.recover(words),
            "peer-up" => self.peer_up(NodeId(number(words.first()?)?))?,
            "clock" => {
                let ms: i64 = number(words.first()?)?;
                self.now.wall_ms += ms;
                self.now.mono_ms += ms as u64;
            }
            "quota" | "fail" | "cut" | "flip" => return self.fault(verb, words),
            _ => return Err("no such command".into()),
        }
        Ok(())
    }

    fn quietly(&mut self, count: u64, command: &str) -> Result<(), String> {
        let before = self.take_trace();
        for _ in 0..count {
            self.command(command)?;
        }
        if self.broker.is_some() {
            self.run()?;
        }
        // What ends the process or keeps it from starting is never quiet, and a refusal is a mistake.
        let done = self.take_trace();
        let loud = |line: &&String| line.contains("fatal:") || line.contains("does not start:");
        let refused = done.iter().find(|line| line.contains("refused")).cloned();
        let trace = before.iter().chain(done.iter().filter(loud)).cloned().collect();
        self.put_trace(trace);
        refused.map_or(Ok(()), Err)
    }

    fn control(&mut self, verb: &str, mut words: Words<'_>) -> Result<(), String> {
        let validate_only = false;
        let request = match verb {
            "create" => {
                let name = words.first()?;
                let partitions = words.number("partitions")?;
                let id = self.names.new_topic(name);
                let configs = words.configs();
                let topics =
                    vec![NewTopic { id, name: name.to_owned(), partitions, replicas: Some(1), configs }];
                Request::CreateTopics { topics, if_not_exists: false, validate_only }
            }
            "alter" => {
                let alteration = TopicAlteration {
                    name: words.first()?.to_owned(),
                    set: words.configs(),
                    unset: Vec::new(),
                };
                Request::AlterTopics { topics: vec![alteration], validate_only }
            }
            "delete" => Request::DeleteTopics { names: vec![words.first()?.to_owned()], validate_only },
            _ => Request::InitProducer { continue_from: None },
        };
        self.ask(PartitionId::CONTROL, |ticket| ShardInput::Machine(Input::Control { ticket, request }))
    }

    fn recover(&mut self, mut words: Words<'_>) -> Result<(), String> {
        let (topic, partition) = words.first()?.split_once(':').ok_or("T:P")?;
        let (topic, partition) = (topic.to_owned(), number(partition)?);
        let validate_only = words.number::<u8>("dry")?.is_some();
        words.end()?;
        self.ask(PartitionId::CONTROL, |ticket| {
            ShardInput::Machine(Input::Recover { ticket, topic, partition, validate_only })
        })
    }

    fn produce(&mut self, mut words: Words<'_>) -> Result<(), String> {
        let partition = self.names.partition_of(words.first()?)?;
        let acks = match words.named.remove("acks").unwrap_or("all") {
            "all" => Acks::All,
            "leader" => Acks::Leader,
            "none" => Acks::None,
            other => return Err(format!("acks={other}")),
        };
        let timestamp = self.now.wall_ms + words.number::<i64>("time")?.unwrap_or(0);
        let producer = match words.number("producer")? {
            Some(id) => {
                let epoch = words.number("epoch")?.unwrap_or(0);
                Some(Producer { id, epoch, sequence: words.needed("seq")? })
            }
            None => None,
        };
        words.end()?;
        let mut builder = Builder::new();
        let mut transactional = false;
        for word in &words.plain[1..] {
            if *word == "transactional" {
                transactional = true;
                continue;
            }
            let value = match word.split_once('*') {
                Some((text, times)) => text.repeat(number(times)?),
                None => (*word).to_owned(),
            };
            builder.push(timestamp, None, Some(value.as_bytes()), []).map_err(|error| error.to_string())?;
        }
        let bytes = builder.finish(Codec::None, producer).map_err(|error| error.to_string())?;
        let mut header = batch::check(&bytes).map_err(|error| error.to_string())?;
        if transactional {
            header.attributes |= TRANSACTIONAL;
        }
        let batch = Batch { header, bytes };
        self.ask(partition, |ticket| ShardInput::Produce { ticket, partition, batch, acks })
    }

    fn trim(&mut self, mut words: Words<'_>) -> Result<(), String> {
        let partition = self.names.partition_of(words.first()?)?;
        let before = Offset(words.needed("before")?);
        words.end()?;
        self.ask(partition, |ticket| ShardInput::Trim { ticket, partition, before, validate_only: false })
    }

    /// Reads to the end, around what is damaged, as a client would that wants everything there is.
    fn read(&mut self, mut words: Words<'_>) -> Result<(), String> {
        let partition = self.names.partition_of(words.first()?)?;
        let from = words.number("from")?;
        words.end()?;
        let view = self.running()?.views.get(&partition).ok_or("the partition has no view")?;
        let (Some(reader), Some(published)) = (view.reader.clone(), view.published.clone()) else {
            return Err("the partition cannot be read".into());
        };
        let mut at = from.map_or(published.log_start, Offset);
        while at < published.high_watermark {
            match reader.read(at, published.high_watermark, 64 * 1024, true) {
                Ok(read) if read.batches.is_empty() => break,
                Ok(read) => {
                    for batch in &read.batches {
                        let line = shown(batch)?;
                        self.note(&line);
                    }
                    at = read.next_offset;
                }
                Err(ReadError::Damaged { first, last }) => {
                    self.note(&format!("damaged {first}..={last}"));
                    at = Offset(last.0 + 1);
                }
                Err(error) => {
                    let why = self.names.shorten(&error.to_string());
                    self.note(&format!("cannot be read: {why}"));
                    break;
                }
            }
        }
        self.note(&format!("end {at}"));
        Ok(())
    }

    /// Every file with its length.
    fn files(&mut self, folder: &Path) -> Result<(), String> {
        for name in self.fs.list(folder).map_err(|error| error.to_string())? {
            let path: PathBuf = folder.join(name);
            if self.fs.list(&path).is_ok() {
                self.files(&path)?;
                continue;
            }
            let file = self.fs.open(&path, OpenMode::Read).map_err(|error| error.to_string())?;
            let length = file.len().map_err(|error| error.to_string())?;
            let line = format!("{} {length}", path.display());
            let line = self.names.shorten(&line);
            self.note(&line);
        }
        Ok(())
    }

    fn fault(&mut self, verb: &str, mut words: Words<'_>) -> Result<(), String> {
        match verb {
            "quota" => match words.first()? {
                "none" => self.fs.set_quota(None),
                more => self.fs.set_quota(Some(self.fs.used() + number::<u64>(more)?)),
            },
            "cut" => self.fs.cut_after(words.needed("after")?),
            "flip" => {
                let path = self.names.path_of(words.first()?)?;
                self.fs.flip(&path, words.needed("at")?, 0x10).map_err(|error| error.to_string())?;
            }
            _ => {
                let op = match words.first()? {
                    "sync" => Op::Sync,
                    "write" => Op::Write,
                    "read" => Op::Read,
                    "remove" => Op::Remove,
                    other => return Err(format!("{other:?} does not fail")),
                };
                let name = words.plain.get(1).ok_or("the file is missing")?;
                let path = self.names.path_of(name)?;
                let after = words.number("after")?.unwrap_or(0);
                self.fs.fail(op, &path.to_string_lossy(), after, Fault::Io);
            }
        }
        words.end()
    }
}

/// A batch as it is read: its offsets and values.
fn shown(batch: &bytes::Bytes) -> Result<String, String> {
    let header = batch::check(batch).map_err(|error| error.to_string())?;
    let mut line =
        format!("{}..={} epoch={}:", header.base_offset, header.last_offset(), header.leader_epoch);
    for record in batch::records(batch, 1 << 20).map_err(|error| error.to_string())? {
        let value = record.map_err(|error| error.to_string())?.value.unwrap_or_default();
        let text = String::from_utf8_lossy(&value);
        let first: String = text.chars().take(1).collect();
        let long = text.len() > 20 && text == first.repeat(text.len());
        line += &if long { format!(" {first}*{}", text.len()) } else { format!(" {text}") };
    }
    Ok(line)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim_start_matches('+').parse().map_err(|_| format!("{text:?} is no number"))
}
