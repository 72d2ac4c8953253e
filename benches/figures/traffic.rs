//! Records through a broker: throughput, latency, catch-up, each beside the floors of the same repeat.

use std::io;
use std::path::Path;

use crate::broker::Broker;
use crate::series::Series;
use crate::table::{Figure, Goal, Table, round};
use crate::{Plan, data, floors, load, machine, say};

/// What the repeats gave.
#[derive(Default)]
struct Measured {
    busy: Series,
    ping: Series,
    small: Series,
    large: Series,
    one_memory: Series,
    one_synced: Series,
    memory: Series,
    synced: Series,
    tiny: Series,
    catch_up: Series,
    catch_up_checked: Series,
    anonymous: Series,
    mapped: Series,
}

/// Adds the figures of traffic; says how busy the machine was in between.
pub(crate) fn measure(plan: &Plan, scratch: &Path, table: &mut Table) -> io::Result<Series> {
    let broker = Broker::start(&plan.caudal, &data(scratch, "traffic"))?;
    let mut measured = Measured::default();
    for number in 1..=plan.repeats {
        say(&format!("traffic, repeat {number} of {}", plan.repeats));
        repeat(plan, scratch, &broker, &mut measured)?;
    }
    broker.stop()?;
    let busy = measured.busy.clone();
    judge(measured, table);
    Ok(busy)
}

/// One value of each, in turn.
fn repeat(plan: &Plan, scratch: &Path, broker: &Broker, measured: &mut Measured) -> io::Result<()> {
    let bench = |arguments: &str| {
        machine::settle();
        load::bench(&plan.caudal, broker, arguments)
    };
    machine::settle();
    measured.busy.add(machine::busy_share());
    measured.ping.add(floors::ping_pong()?);
    measured.small.add(floors::small_writes(scratch)?);
    let one = "produce --size 1KiB --in-flight 1 --duration 2s";
    measured.one_memory.add(bench(&format!("{one} -c durability=memory"))?.p50_us());
    measured.one_synced.add(bench(one)?.p50_us());
    machine::settle();
    measured.large.add(floors::large_writes(scratch)?);
    let many = "produce --size 1KiB --records 1000000";
    measured.synced.add(bench(many)?.mb_per_second());
    measured.memory.add(bench(&format!("{many} -c durability=memory"))?.mb_per_second());
    let tiny = "produce --size 100 --records 5000000 -c durability=memory";
    measured.tiny.add(bench(tiny)?.records_per_second() / 1e6);
    let (anonymous, mapped) = broker.memory()?;
    measured.anonymous.add(anonymous);
    measured.mapped.add(mapped);
    let read = "consume --size 1KiB --records 1000000";
    measured.catch_up.add(bench(&format!("{read} --no-verify"))?.mb_per_second());
    measured.catch_up_checked.add(bench(read)?.mb_per_second());
    Ok(())
}

fn judge(measured: Measured, table: &mut Table) {
    let Measured { ping, small, large, one_memory, one_synced, .. } = measured;
    let Measured { memory, synced, tiny, catch_up, catch_up_checked, anonymous, mapped, .. } = measured;
    let mut add = |name, unit, goal, values, against| {
        table.figures.push(Figure { name, unit, goal, values, against });
    };
    add("1 KiB pipelined, memory", "MB/s", Goal::AtLeast(400.0), memory, String::new());
    let ratio = synced.with(&large, |ours, floor| ours / floor).median();
    let against = format!("{} of the bare 1 MiB loop; 250 MB/s or half of it", round(ratio));
    let least = (large.median() / 2.0).min(250.0);
    add("1 KiB pipelined, synced", "MB/s", Goal::AtLeast(least), synced, against);
    add("100 B pipelined, memory", "M records/s", Goal::AtLeast(1.5), tiny, String::new());
    // Pair by pair: a ping-pong takes a fourth of the time where both ends happen to share a core.
    let over_ping = one_memory.with(&ping, |ours, floor| ours - floor);
    let against = "bare ping-pong of the same repeat".to_owned();
    add("1 in flight, memory: p50 above its floor", "µs", Goal::AtMost(40.0), over_ping, against);
    let floors = one_memory.with(&small, |memory, write| memory + write).with(&ping, |sum, ping| sum + ping);
    let over_all = one_synced.with(&floors, |ours, floors| ours - floors);
    let against = "p50 in memory mode + bare 1 KiB write + ping-pong of the same repeat".to_owned();
    add("1 in flight, synced: p50 above its floors", "µs", Goal::AtMost(60.0), over_all, against);
    add("catch-up", "MB/s", Goal::AtLeast(1000.0), catch_up, "values not compared".to_owned());
    table.floors.push(("loopback TCP ping-pong of 64 B, p50", "µs", ping));
    table.floors.push(("1 KiB pwrite + fdatasync, room taken, p50", "µs", small));
    table.floors.push(("loop of 1 MiB pwrite + fdatasync, room taken", "MB/s", large));
    table.beside.push(("1 in flight, memory, p50", "µs", one_memory));
    table.beside.push(("1 in flight, synced, p50", "µs", one_synced));
    table.beside.push(("catch-up, every value compared by the reader", "MB/s", catch_up_checked));
    table.beside.push(("broker's own memory (RssAnon) after the traffic", "MB", anonymous));
    table.beside.push(("pages of logs it has mapped (RssFile) then", "MB", mapped));
}
