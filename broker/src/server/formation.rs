//! Which cluster a broker with an empty folder belongs to: founded with the other seeds, or joined.
//!
//! The decision is a function of what the seeds say, so that it is the same on all of them. Founding needs every seed:
//! each computes the same id from the same list. A broker that is not in that list, because its folder was emptied since,
//! is another one, and joins. Nothing is told to anybody before it is on disk: the identity of the folder from the start,
//! the place in the cluster before the first message.
//!
//! The seeds answer one after the other, and one whose folder is emptied in between is two brokers to two that ask. So
//! everybody is asked twice, and the same must come out: then there was a moment between the two at which all of it held.

mod asking;
#[cfg(test)]
mod tests;
mod twin;

use std::collections::{BTreeMap, BTreeSet};

use caudal_proto::peer::Me;
use uuid::Uuid;

use crate::ids::{NodeId, ReplicaId};
use crate::log::Home;
use crate::state::{FIRST_CONTROL_REPLICA, FIRST_NODE};

pub(super) use asking::{Seeker, Unformed};
pub(super) use twin::no_twin_lives;

/// What came of asking a seed.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    /// Nothing: why.
    Silence(String),
    /// Its answer.
    Said(Me),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Ask again later: what is missing, for people.
    Wait(Vec<String>),
    /// Ask again at once: it must come out the same.
    Confirm,
    /// The cluster begins, or has begun, with this broker in it.
    Found(Home),
    /// Ask this seed to be taken in.
    Join(String),
}

/// A broker's search for its cluster, as far as it has come.
pub(super) struct Search {
    own: Uuid,
    /// What came out the last time.
    found: Option<Home>,
}

impl Search {
    /// The broker with the identity `own` has asked nobody yet.
    pub(super) fn new(own: Uuid) -> Search {
        Search { own, found: None }
    }

    /// What to do, where the seeds, by their addresses, said this. They were asked after the last answer of this.
    pub(super) fn hear(&mut self, heard: &BTreeMap<String, Heard>) -> Decision {
        match decide(self.own, heard) {
            Decision::Found(home) if self.found.as_ref() != Some(&home) => {
                self.found = Some(home);
                Decision::Confirm
            }
            Decision::Found(home) => Decision::Found(home),
            other => {
                self.found = None;
                other
            }
        }
    }
}

/// What follows from one round of answers.
fn decide(own: Uuid, heard: &BTreeMap<String, Heard>) -> Decision {
    let said: Vec<(&String, &Me)> = heard
        .iter()
        .filter_map(|(seed, heard)| match heard {
            Heard::Said(me) => Some((seed, me)),
            Heard::Silence(_) => None,
        })
        .collect();
    let nonsense = said.iter().filter(|(_, me)| !matches!(me.cluster_id.len(), 0 | 16));
    let nonsense: Vec<String> =
        nonsense.map(|(seed, _)| format!("{seed} does not say which cluster it belongs to")).collect();
    if !nonsense.is_empty() {
        return Decision::Wait(nonsense);
    }
    let clusters: BTreeMap<Uuid, &String> =
        said.iter().filter_map(|(seed, me)| Some((Uuid::from_slice(&me.cluster_id).ok()?, *seed))).collect();
    if clusters.len() > 1 {
        let places = clusters.iter().map(|(cluster, seed)| format!("{seed} to cluster {cluster}"));
        let places = places.collect::<Vec<_>>().join(", ");
        return Decision::Wait(vec![format!(
            "the seeds belong to different clusters ({places}): one is wrong"
        )]);
    }
    if let Some((cluster, seed)) = clusters.into_iter().next() {
        let founders = said.iter().find_map(|(_, me)| founders_of(me, cluster));
        return match founders.and_then(|founders| seat(own, founders)) {
            Some(home) => Decision::Found(home),
            None => Decision::Join(seed.clone()),
        };
    }
    match founders_among(own, heard) {
        Ok(founders) => seat(own, founders).map_or(Decision::Wait(Vec::new()), Decision::Found),
        Err(missing) => Decision::Wait(missing),
    }
}

/// The founders that a member tells, where they are those of its cluster.
fn founders_of(me: &Me, cluster: Uuid) -> Option<Vec<(Uuid, String)>> {
    let founders = me
        .founders
        .iter()
        .map(|founder| Some((Uuid::from_slice(&founder.node_uuid).ok()?, founder.peer_address.clone())));
    let founders: Vec<(Uuid, String)> = founders.collect::<Option<_>>()?;
    (cluster_id(&founders) == cluster).then_some(founders)
}

/// All seeds as founders, in the order of their addresses; or what is missing.
fn founders_among(own: Uuid, heard: &BTreeMap<String, Heard>) -> Result<Vec<(Uuid, String)>, Vec<String>> {
    let (mut founders, mut missing) = (Vec::new(), Vec::new());
    let seeds: BTreeSet<&String> = heard.keys().collect();
    for (seed, heard) in heard {
        match heard {
            Heard::Silence(why) => missing.push(format!("{seed}: {why}")),
            Heard::Said(me) => match Uuid::from_slice(&me.node_uuid) {
                Ok(_) if me.seeds.iter().collect::<BTreeSet<_>>() != seeds => {
                    let theirs = me.seeds.join(", ");
                    missing.push(format!("{seed} has other seeds ({theirs}): the lists must be the same"));
                }
                Ok(uuid) => founders.push((uuid, seed.clone())),
                Err(_) => missing.push(format!("{seed} does not say who it is")),
            },
        }
    }
    if missing.is_empty() && !founders.iter().any(|(uuid, _)| *uuid == own) {
        missing.push(
            "none of the seeds is this broker: name its peer address among them, or start the others".into(),
        );
    }
    let different: BTreeSet<&Uuid> = founders.iter().map(|(uuid, _)| uuid).collect();
    if missing.is_empty() && different.len() < founders.len() {
        missing.push("two of the seeds are one broker: name each once".to_owned());
    }
    if missing.is_empty() { Ok(founders) } else { Err(missing) }
}

/// A founder's place: its number and its replica of the control partition are its place in the list.
fn seat(own: Uuid, founders: Vec<(Uuid, String)>) -> Option<Home> {
    let place = founders.iter().position(|(uuid, _)| *uuid == own)?;
    Some(Home {
        cluster_id: cluster_id(&founders),
        node_id: NodeId(FIRST_NODE.0 + i32::try_from(place).ok()?),
        control: ReplicaId(FIRST_CONTROL_REPLICA.0 + place as u64),
        founders,
        contacts: Vec::new(),
    })
}

/// The place of a broker that is a cluster alone.
pub(super) fn alone(own: Uuid, peer_address: String) -> Home {
    Home {
        cluster_id: Uuid::new_v4(),
        node_id: FIRST_NODE,
        control: FIRST_CONTROL_REPLICA,
        founders: vec![(own, peer_address)],
        contacts: Vec::new(),
    }
}

/// The id of the cluster that these brokers found: the same wherever it is computed. FNV-1a of 128 bits over identities
/// and addresses; the identities are random, so that no two clusters have one id.
fn cluster_id(founders: &[(Uuid, String)]) -> Uuid {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = founders.iter().flat_map(|(uuid, address)| {
        let address = address.as_bytes().iter().copied().chain([0]);
        uuid.as_bytes().iter().copied().chain(address).collect::<Vec<u8>>()
    });
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    uuid::Builder::from_bytes(hash.to_be_bytes()).with_variant(uuid::Variant::RFC4122).into_uuid()
}
