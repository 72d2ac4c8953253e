//! The disk thread of a data folder: takes the rounds of all shards that wait, runs them together, tells each shard.
//!
//! While one round syncs, the next gathers at the shards: that is the group commit, and there is no timer in it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::clock::Clock;
use super::life::Life;
use super::meters::Meters;
use crate::ids::ShardId;
use crate::log::{Disk, Round, RoundDone};

/// Where the shards hand over their rounds. Each has at most one in flight, so there is always room.
#[derive(Clone)]
pub struct Rounds(SyncSender<(ShardId, Round)>);

impl Rounds {
    /// Hands over a round. Whether somebody took it: not after a failure.
    pub fn hand_over(&self, shard: ShardId, round: Round) -> bool {
        self.0.try_send((shard, round)).is_ok()
    }
}

/// Starts the disk thread. It ends when every [`Rounds`] is dropped, or with the first failure.
///
/// `done` has one sender for each shard, in order, with room for one completion. How long rounds take goes to the meters.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    disk: Disk,
    done: Vec<mpsc::Sender<RoundDone>>,
    life: Arc<Life>,
    (meters, clock): (Arc<Meters>, Clock),
) -> io::Result<(Rounds, JoinHandle<()>)> {
    let (rounds, waiting) = sync_channel(done.len().max(1));
    let thread = std::thread::Builder::new()
        .name("disk".to_owned())
        .spawn(move || serve(disk, &waiting, &done, &life, (&meters, clock)))?;
    Ok((Rounds(rounds), thread))
}

fn serve(
    mut disk: Disk,
    waiting: &Receiver<(ShardId, Round)>,
    done: &[mpsc::Sender<RoundDone>],
    life: &Life,
    (meters, clock): (&Meters, Clock),
) {
    if let Err(fatal) = disk.sweep() {
        return life.fail(fatal);
    }
    while let Ok(first) = waiting.recv() {
        let (mut shards, mut rounds) = (vec![first.0], vec![first.1]);
        while let Ok((shard, round)) = waiting.try_recv() {
            shards.push(shard);
            rounds.push(round);
        }
        let begun = clock.micros();
        match disk.run(rounds) {
            Ok(results) => {
                meters.rounds.observe(clock.micros() - begun);
                for (shard, result) in shards.into_iter().zip(results) {
                    // A shard that has ended waits for nothing.
                    let _ = done[shard.0 as usize].try_send(result);
                }
            }
            Err(fatal) => return life.fail(fatal),
        }
    }
    if let Err(fatal) = disk.settle() {
        life.fail(fatal);
    }
}
