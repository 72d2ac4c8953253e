//! The world of a script: a broker, its disk, its clock, and the trace of what happens.

use std::sync::Arc;

use caudal_broker::ids::{NodeId, PartitionId};
use caudal_broker::log::{Fatal, Fs};
use caudal_broker::node::{Input, Now, Ticket};
use caudal_broker::runtime::shard::ShardInput;
use caudal_harness::lying_fs::{Crash, LyingFs};

use crate::broker::{Broker, SHARDS};
use crate::names::Names;
use crate::trace;

/// When every script begins, in ms since the epoch. Times in traces are relative to it.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

/// Steps of `run` before something is wrong: nothing settles.
const STEPS_MAX: usize = 1000;

/// See the module.
pub(crate) struct World {
    pub(crate) fs: LyingFs,
    pub(crate) names: Names,
    pub(crate) broker: Option<Broker>,
    pub(crate) now: Now,
    tickets: Ticket,
    trace: Vec<String>,
}

impl World {
    pub(crate) fn new() -> World {
        World {
            fs: World::disk(1),
            names: Names::default(),
            broker: None,
            now: Now { wall_ms: START_MS, mono_ms: 0 },
            tickets: 0,
            trace: Vec::new(),
        }
    }

    /// An empty disk; what a crash leaves of it depends on the seed.
    pub(crate) fn disk(seed: u64) -> LyingFs {
        let fs = LyingFs::new(seed);
        fs.trace(true);
        fs
    }

    /// What happened since the last call.
    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// Puts back what was taken.
    pub(crate) fn put_trace(&mut self, trace: Vec<String>) {
        self.trace = trace;
    }

    /// What the disk saw and must never see.
    pub(crate) fn violations(&self) -> Vec<String> {
        let seen = self.fs.violations();
        seen.iter().map(|what| format!("the disk saw: {}", self.names.shorten(what))).collect()
    }

    /// Adds a line to the trace.
    pub(crate) fn note(&mut self, line: &str) {
        self.trace.push(format!("  {line}"));
    }

    /// Adds a heading and the lines under it, if there are any.
    fn section(&mut self, heading: &str, lines: Vec<String>) {
        if !lines.is_empty() {
            self.trace.push(format!("{heading}:"));
            lines.iter().for_each(|line| self.note(line));
        }
    }

    /// What the disk was told since the last look.
    fn operations(&self) -> Vec<String> {
        let done = self.fs.trace(true);
        done.iter().map(|line| operation(&self.names.shorten(line))).collect()
    }

    /// Adds what a command itself did to the disk.
    pub(crate) fn note_operations(&mut self) {
        let lines = self.operations();
        lines.iter().for_each(|line| self.note(line));
    }

    pub(crate) fn running(&mut self) -> Result<&mut Broker, String> {
        self.broker.as_mut().ok_or("no broker runs".to_owned())
    }

    pub(crate) fn start(&mut self) -> Result<(), String> {
        if self.broker.is_some() {
            return Err("a broker runs".into());
        }
        let fs: Arc<dyn Fs> = Arc::new(self.fs.clone());
        let started = Broker::start(&fs);
        let lines = self.operations();
        self.section("open", lines);
        match started {
            Ok(broker) => self.broker = Some(broker),
            Err(why) => {
                let why = self.names.shorten(&why);
                self.trace.push(format!("does not start: {why}"));
            }
        }
        Ok(())
    }

    /// Hands a request to the shard of a partition; the answer names its ticket.
    pub(crate) fn ask(
        &mut self,
        partition: PartitionId,
        input: impl FnOnce(Ticket) -> ShardInput,
    ) -> Result<(), String> {
        self.tickets += 1;
        let (now, ticket) = (self.now, self.tickets);
        self.running()?.input(now, partition, input(ticket));
        self.note(&format!("ticket {ticket}"));
        self.note_operations();
        Ok(())
    }

    /// One pass of a shard.
    pub(crate) fn pass(&mut self, number: usize) -> Result<(), String> {
        let now = self.now;
        let flushed = self.running()?.flush(now, number);
        let mut lines = self.operations();
        match flushed {
            Ok(effects) => {
                let Some(broker) = &mut self.broker else { return Ok(()) };
                for effect in effects {
                    lines.push(trace::effect(&self.names, &effect));
                    broker.carry_out(effect);
                }
                if let Some(round) = broker.take_round(now, number) {
                    lines.extend(trace::round(&self.names, round));
                }
                self.section(&format!("shard {number}"), lines);
            }
            Err(fatal) => {
                self.section(&format!("shard {number}"), lines);
                self.ends(&fatal);
            }
        }
        Ok(())
    }

    pub(crate) fn pass_all(&mut self) -> Result<(), String> {
        for number in 0..SHARDS as usize {
            if self.broker.is_some() {
                self.pass(number)?;
            }
        }
        Ok(())
    }

    /// The disk runs the rounds that wait, and the shards hear of it.
    pub(crate) fn sync(&mut self) -> Result<(), String> {
        let now = self.now;
        let run = self.running()?.run_disk();
        let lines = self.operations();
        self.section("disk", lines);
        let done = match run {
            Ok(done) => done,
            Err(fatal) => {
                self.ends(&fatal);
                return Ok(());
            }
        };
        for (number, done) in done {
            let round = done.number;
            let Some(broker) = &mut self.broker else { return Ok(()) };
            let heard = broker.round_done(now, number, done);
            let lines = self.operations();
            self.section(&format!("shard {number}, round {round} is done"), lines);
            if let Err(fatal) = heard {
                self.ends(&fatal);
            }
        }
        Ok(())
    }

    /// Passes and syncs until nothing more happens.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for _ in 0..STEPS_MAX {
            let before = self.trace.len();
            self.pass_all()?;
            if self.broker.is_some() {
                self.sync()?;
            }
            let busy = self.broker.as_ref().is_some_and(Broker::is_busy);
            if !busy && self.trace.len() == before {
                return Ok(());
            }
            if self.broker.is_none() {
                return Ok(());
            }
        }
        Err("nothing settles".into())
    }

    /// So many tenths of a second pass, each with a pass of every shard.
    pub(crate) fn tick(&mut self, count: u64) -> Result<(), String> {
        for _ in 0..count {
            self.now.wall_ms += 100;
            self.now.mono_ms += 100;
            let now = self.now;
            self.running()?.input_all(now, || ShardInput::Tick);
            self.note_operations();
            self.pass_all()?;
        }
        Ok(())
    }

    /// The shards hear of another broker.
    pub(crate) fn peer_up(&mut self, node: NodeId) -> Result<(), String> {
        let now = self.now;
        self.running()?.input_all(now, || ShardInput::Machine(Input::PeerUp(node)));
        Ok(())
    }

    /// The shards hear that the broker stops.
    pub(crate) fn stopping(&mut self) -> Result<(), String> {
        let now = self.now;
        self.running()?.input_all(now, || ShardInput::Machine(Input::Stop));
        Ok(())
    }

    /// Ends the broker in order.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.stopping()?;
        self.run()?;
        let Some(broker) = &mut self.broker else { return Ok(()) };
        if !broker.is_drained() {
            return Err("the shards do not drain".into());
        }
        let mut last = Vec::new();
        for (number, round) in broker.close() {
            last.push((number, trace::round(&self.names, round)));
        }
        let lines = self.operations();
        self.section("close", lines);
        for (number, lines) in last {
            self.section(&format!("shard {number}"), lines);
        }
        let Some(broker) = &mut self.broker else { return Ok(()) };
        let ended = broker.run_disk().map(drop).and_then(|()| broker.settle());
        let lines = self.operations();
        self.section("disk", lines);
        if let Err(fatal) = ended {
            self.ends(&fatal);
        }
        self.broker = None;
        Ok(())
    }

    pub(crate) fn crash(&mut self, crash: Crash) {
        self.broker = None;
        self.fs.crash(crash);
    }

    /// A failed write or sync ends the process.
    fn ends(&mut self, fatal: &Fatal) {
        let why = self.names.shorten(&fatal.to_string());
        self.trace.push(format!("fatal: {why}"));
        self.broker = None;
    }
}

/// A line of the disk's trace; where in the meta log a record lies is of no interest.
fn operation(line: &str) -> String {
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some(verb @ ("write" | "allocate")), Some(file @ ("meta.a" | "meta.b"))) => format!("{verb} {file}"),
        _ => line.to_owned(),
    }
}
