//! Brokers, replicas, elections, and the ways to other brokers.

use std::fmt;

use caudal_proto::peer::Class;

use super::{Sums, Writer, f, labelled};
use crate::http::shown::Inside;
use crate::node::{Census, Led};

pub(super) fn write(inside: &Inside, censuses: &[Census], writer: &mut Writer<'_>) -> fmt::Result {
    let views = &inside.views;
    let catalog = views.catalog();
    writer.one(&f::NODES, catalog.members().len() as f64)?;
    writer.family(&f::NODE_UP, |samples| {
        let mut others = catalog.members().filter(|member| Some(member.id) != views.node());
        others.try_for_each(|member| {
            let up = f64::from(u8::from(views.is_up(member.id)));
            samples.add(&[("node", member.id.to_string())], up)
        })
    })?;
    writer.one(&f::CONTROL_LEADER, f64::from(u8::from(views.leads_control())))?;
    replicas(censuses, writer)?;
    peers(inside, writer)
}

fn replicas(censuses: &[Census], writer: &mut Writer<'_>) -> fmt::Result {
    let sum = |read: &dyn Fn(&Census) -> u64| censuses.iter().map(read).sum::<u64>() as f64;
    let states = Sums::from([
        ("live", sum(&|census| census.live)),
        ("opening", sum(&|census| census.opening)),
        ("closed", sum(&|census| census.closed)),
    ]);
    labelled(writer, &f::REPLICAS, "state", &states)?;
    let led =
        |is: &dyn Fn(&Led) -> bool| sum(&|census| census.led.iter().filter(|led| is(led)).count() as u64);
    writer.one(&f::LEADERS, led(&|led| led.serves))?;
    writer.one(&f::LEADERLESS, sum(&|census| census.leaderless))?;
    writer.one(&f::UNDER_REPLICATED, led(&|led| led.followers.iter().any(|follower| !follower.in_step)))?;
    writer.one(&f::ELECTIONS_BEGUN, sum(&|census| census.elections.begun))?;
    writer.one(&f::ELECTIONS_WON, sum(&|census| census.elections.won))?;
    writer.one(&f::ELECTIONS_LOST, sum(&|census| census.elections.lost))
}

fn peers(inside: &Inside, writer: &mut Writer<'_>) -> fmt::Result {
    let queues = inside.transport.queues();
    let by_class = |read: &dyn Fn(&crate::runtime::peers::QueueReading) -> usize| {
        let each = queues.iter().flat_map(|peer| {
            peer.classes.iter().map(|(class, reading)| (peer.node.to_string(), name(*class), read(reading)))
        });
        each.collect::<Vec<_>>()
    };
    for (family, samples) in [
        (&f::PEER_CONNECTIONS, by_class(&|reading| reading.connected)),
        (&f::PEER_ENVELOPES, by_class(&|reading| reading.envelopes)),
        (&f::PEER_BYTES, by_class(&|reading| reading.bytes)),
    ] {
        writer.family(family, |written| {
            samples.iter().try_for_each(|(node, class, value)| {
                written.add(&[("node", node.as_str()), ("class", class)], *value as f64)
            })
        })?;
    }
    writer.family(&f::PEER_DROPPED, |samples| {
        queues
            .iter()
            .try_for_each(|peer| samples.add(&[("node", peer.node.to_string())], peer.dropped as f64))
    })?;
    let dropped: u64 = inside.mailboxes.iter().map(|mailbox| mailbox.backlog().dropped).sum();
    writer.one(&f::BACKLOG_DROPPED, dropped as f64)
}

/// A class, as a label.
fn name(class: Class) -> &'static str {
    match class {
        Class::Unspecified | Class::Control => "control",
        Class::Appends => "appends",
        Class::Bulk => "bulk",
    }
}
