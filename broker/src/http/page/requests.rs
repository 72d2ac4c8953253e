//! Requests, batches, connections, and how long things take.

use std::fmt;

use caudal_proto::v1::Reason;

use super::{Relaxed, Writer, f};
use crate::http::writer::{NONE, Samples};
use crate::runtime::meters::histogram::Reading;
use crate::runtime::meters::requests::{OK, OTHER, OUTCOMES};
use crate::runtime::meters::{Meters, ShardMeter};

pub(super) fn write(meters: &Meters, writer: &mut Writer<'_>) -> fmt::Result {
    let methods = meters.shards.first().map_or(&[][..], |shard| shard.requests.methods());
    let mut all = Vec::new();
    for (place, method) in methods.iter().enumerate() {
        let (mut outcomes, mut durations) = ([0; OUTCOMES], Reading::default());
        meters.shards.iter().for_each(|shard| shard.requests.add_to(place, &mut outcomes, &mut durations));
        all.push((*method, outcomes, durations));
    }
    writer.family(&f::REQUESTS, |samples| {
        all.iter().try_for_each(|(method, outcomes, _)| counted(samples, Some(method), outcomes))
    })?;
    writer.family(&f::REQUEST_SECONDS, |samples| {
        let mut called = all.iter().filter(|(_, _, durations)| durations.count() > 0);
        called.try_for_each(|(method, _, durations)| samples.add_histogram(&[("method", *method)], durations))
    })?;
    let mut batches = [0; OUTCOMES];
    meters.shards.iter().for_each(|shard| shard.batches.add_to(&mut batches));
    writer.family(&f::BATCHES, |samples| counted(samples, None, &batches))?;
    let mut commits = Reading::default();
    meters.shards.iter().for_each(|shard| commits.add(&shard.commits.read()));
    writer.family(&f::COMMIT_SECONDS, |samples| samples.add_histogram(&NONE, &commits))?;
    writer.family(&f::ROUND_SECONDS, |samples| samples.add_histogram(&NONE, &meters.rounds.read()))?;
    let sum = |read: &dyn Fn(&ShardMeter) -> f64| meters.shards.iter().map(|shard| read(shard)).sum::<f64>();
    writer.one(&f::OPEN_REQUESTS, sum(&|shard| shard.open_requests.load(Relaxed) as f64))?;
    writer.one(&f::CONNECTIONS, sum(&|shard| shard.connections.load(Relaxed) as f64))?;
    writer.one(&f::ACCEPTED, sum(&|shard| shard.accepted.load(Relaxed) as f64))?;
    writer.family(&f::STALLED, |samples| {
        samples.add(&[("at", "response")], sum(&|shard| shard.stalls.closed() as f64))?;
        samples.add(&[("at", "socket")], sum(&|shard| shard.stuck.load(Relaxed) as f64))
    })
}

/// Success always, the others once they came.
fn counted(samples: &mut Samples<'_>, method: Option<&str>, outcomes: &[u64; OUTCOMES]) -> fmt::Result {
    let came = outcomes.iter().enumerate().filter(|(outcome, count)| *outcome == OK || **count > 0);
    for (outcome, count) in came {
        let name = name(outcome);
        match method {
            Some(method) => samples.add(&[("method", method), ("outcome", name)], *count as f64)?,
            None => samples.add(&[("outcome", name)], *count as f64)?,
        }
    }
    Ok(())
}

fn name(outcome: usize) -> &'static str {
    match outcome {
        OK => "OK",
        OTHER => "OTHER",
        reason => i32::try_from(reason)
            .ok()
            .and_then(|number| Reason::try_from(number).ok())
            .map_or("OTHER", |reason| reason.as_str_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_called_as_the_errors_page_calls_them() {
        assert_eq!((name(OK), name(OTHER), name(126)), ("OK", "OTHER", "OTHER"));
        assert_eq!(name(Reason::NotLeader as usize), "NOT_LEADER");
    }
}
