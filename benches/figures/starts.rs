//! From the start of the process to the line that says it is ready: on nothing, on 4 GiB, after an orderly stop and
//! after `kill -9` under load.

use std::io;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::broker::Broker;
use crate::series::Series;
use crate::table::{Figure, Goal, Table};
use crate::{Plan, clock, data, load, machine, say};

/// Adds the figures of starts; says how busy the machine was in between.
pub(crate) fn measure(plan: &Plan, scratch: &Path, table: &mut Table) -> io::Result<Series> {
    say("starts");
    machine::settle();
    let mut busy = Series(vec![machine::busy_share()]);
    let mut empty = Series::default();
    for number in 0..plan.repeats {
        let broker = Broker::start(&plan.caudal, &data(scratch, &format!("empty-{number}")))?;
        empty.add(broker.ready_ms);
        broker.stop()?;
    }
    let folder = data(scratch, "full");
    let broker = Broker::start(&plan.caudal, &folder)?;
    load::run(&plan.caudal, &broker, "topic create full")?;
    // 4 GiB of values of 1 KiB.
    load::bench(&plan.caudal, &broker, "produce --topic full --size 1KiB --records 4194304 --no-verify")?;
    broker.stop()?;
    let mut clean = Series::default();
    for _ in 0..plan.repeats {
        machine::settle();
        let broker = Broker::start(&plan.caudal, &folder)?;
        clean.add(broker.ready_ms / 1e3);
        broker.stop()?;
    }
    busy.add(machine::busy_share());
    let mut killed = Series::default();
    let mut broker = Broker::start(&plan.caudal, &folder)?;
    for _ in 0..plan.repeats {
        let load = Load::start(plan, &broker)?;
        clock::sleep(Duration::from_secs(1));
        broker.kill()?;
        drop(load);
        machine::settle();
        broker = Broker::start(&plan.caudal, &folder)?;
        killed.add(broker.ready_ms / 1e3);
    }
    broker.stop()?;
    std::fs::remove_dir_all(&folder)?;
    let mut add = |name, unit, most, values, against: &str| {
        let against = against.to_owned();
        table.figures.push(Figure { name, unit, goal: Goal::AtMost(most), values, against });
    };
    add("start on an empty folder", "ms", 50.0, empty, "");
    add("start on 4 GiB, after an orderly stop", "s", 0.5, clean, "");
    add("start on 4 GiB, after kill -9 under load", "s", 3.0, killed, "");
    Ok(busy)
}

/// A producer that goes on until it is dropped. It cannot end well: its broker is killed.
struct Load(Child);

impl Load {
    fn start(plan: &Plan, broker: &Broker) -> io::Result<Load> {
        // At most 100 MB each time, so that the disk in use stays bounded.
        let arguments = "bench produce --topic full --size 1KiB --rate 50k/s --records 100000 --no-verify";
        let mut command = load::command(&plan.caudal, broker, arguments);
        Ok(Load(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already; then both fail and nothing is left to do.
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
