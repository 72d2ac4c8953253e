//! What is between brokers: messages that come late, twice, out of order or not at all, and cuts in one direction.

use std::collections::BTreeSet;

use caudal_broker::ids::NodeId;
use caudal_broker::node::Input;
use caudal_broker::runtime::shard::ShardInput;
use caudal_proto::peer;

use crate::rng::Rng;

/// What one broker has for another.
#[derive(Clone)]
pub(crate) enum Letter {
    Message(Box<peer::Message>),
    Statuses(Vec<peer::PartitionStatus>),
}

impl Letter {
    pub(crate) fn input(self, from: NodeId) -> ShardInput {
        match self {
            Letter::Message(message) => ShardInput::Peer { from, message },
            Letter::Statuses(statuses) => ShardInput::Machine(Input::Statuses { from, statuses }),
        }
    }
}

struct Flight {
    from: usize,
    to: usize,
    due: u64,
    letter: Letter,
}

/// Every message on its way.
pub(crate) struct Network {
    rng: Rng,
    now: u64,
    flights: Vec<Flight>,
    cuts: BTreeSet<(usize, usize)>,
    /// Messages are lost, doubled and delayed.
    pub(crate) faulty: bool,
}

/// Messages on their way at a time; further ones are lost, as from a full queue.
const FLIGHTS_MAX: usize = 4000;

impl Network {
    pub(crate) fn new(seed: u64) -> Network {
        Network {
            rng: Rng::new(seed, "network"),
            now: 0,
            flights: Vec::new(),
            cuts: BTreeSet::new(),
            faulty: true,
        }
    }

    /// Whether the message is on its way; one that is not is known to be lost.
    pub(crate) fn send(&mut self, from: usize, to: usize, letter: Letter) -> bool {
        if self.cuts.contains(&(from, to)) || self.flights.len() >= FLIGHTS_MAX {
            return false;
        }
        let copies = match self.faulty {
            true if self.rng.once_in(40) => 0,
            true if self.rng.once_in(60) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = match self.faulty {
                true if self.rng.once_in(50) => self.rng.below(200),
                true => self.rng.below(6),
                false => 0,
            };
            self.flights.push(Flight { from, to, due: self.now + delay, letter: letter.clone() });
        }
        true
    }

    /// Time passes; what has arrived, in an order of its own where the network is faulty.
    pub(crate) fn arrivals(&mut self) -> Vec<(usize, usize, Letter)> {
        self.now += 1;
        let (arrived, flying): (Vec<Flight>, Vec<Flight>) =
            std::mem::take(&mut self.flights).into_iter().partition(|flight| flight.due <= self.now);
        self.flights = flying;
        let mut arrived: Vec<(usize, usize, Letter)> = arrived
            .into_iter()
            .filter(|flight| !self.cuts.contains(&(flight.from, flight.to)))
            .map(|flight| (flight.from, flight.to, flight.letter))
            .collect();
        if self.faulty && self.rng.once_in(4) {
            for at in (1..arrived.len()).rev() {
                arrived.swap(at, self.rng.below(at as u64 + 1) as usize);
            }
        }
        arrived
    }

    /// Cuts one direction between two brokers, or both.
    pub(crate) fn cut(&mut self, from: usize, to: usize, both: bool) {
        self.cuts.insert((from, to));
        if both {
            self.cuts.insert((to, from));
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// What was on its way to or from a broker that died.
    pub(crate) fn forget(&mut self, host: usize) {
        self.flights.retain(|flight| flight.from != host && flight.to != host);
    }
}
