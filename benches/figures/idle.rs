//! A broker that nobody talks to: memory, processor, disk; with nothing in it and with a thousand partitions.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::broker::Broker;
use crate::series::Series;
use crate::table::{Figure, Goal, Table};
use crate::{Plan, clock, data, load, machine, say};

/// How long a broker is left alone before: what it began is done by then.
const CALM: Duration = Duration::from_secs(10);

/// How long a broker is watched at once.
const WATCH: Duration = Duration::from_secs(10);

/// How often.
const WATCHES: usize = 3;

/// Adds the figures of idleness; says how busy the machine was before.
pub(crate) fn measure(plan: &Plan, scratch: &Path, table: &mut Table) -> io::Result<Series> {
    say("idle");
    machine::settle();
    let busy = Series(vec![machine::busy_share()]);
    let broker = Broker::start(&plan.caudal, &data(scratch, "idle"))?;
    let (processor, memory, mapped) = watch(&broker)?;
    let mut add = |name, unit, most, values, against| {
        table.figures.push(Figure { name, unit, goal: Goal::AtMost(most), values, against });
    };
    add("idle: memory (RssAnon)", "MB", 20.0, memory, format!("RssFile {:.0} MB apart", mapped.median()));
    add("idle: processor", "% of a core", 0.5, processor, String::new());
    say("a thousand partitions, idle");
    load::run(&plan.caudal, &broker, "topic create many --partitions 1000")?;
    let (processor, memory, mapped) = watch(&broker)?;
    add("1,000 idle partitions: processor", "% of a core", 3.0, processor, String::new());
    let against = format!("RssFile {:.0} MB apart", mapped.median());
    add("1,000 idle partitions: memory (RssAnon)", "MB", 100.0, memory, against);
    let disk = Series(vec![broker.disk()?]);
    add("1,000 idle partitions: disk", "MB", 100.0, disk, "blocks of the data folder".to_owned());
    broker.stop()?;
    Ok(busy)
}

/// Processor in percent, own memory and mapped pages in MB.
fn watch(broker: &Broker) -> io::Result<(Series, Series, Series)> {
    let (mut processor, mut memory, mut mapped) = (Series::default(), Series::default(), Series::default());
    machine::settle();
    clock::sleep(CALM);
    for _ in 0..WATCHES {
        processor.add(broker.processor(WATCH)?);
        let (anonymous, files) = broker.memory()?;
        memory.add(anonymous);
        mapped.add(files);
    }
    Ok((processor, memory, mapped))
}
