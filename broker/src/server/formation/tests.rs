//! Seeds that start in any order, crash, start again, and lose their folders: one cluster comes out.

use caudal_proto::peer::Founder;

use super::*;

fn me(uuid: Uuid, seeds: &[String], home: Option<&Home>) -> Heard {
    let founders = home.into_iter().flat_map(|home| &home.founders);
    Heard::Said(Me {
        node_uuid: uuid.as_bytes().to_vec().into(),
        cluster_id: home.map_or_else(Vec::new, |home| home.cluster_id.as_bytes().to_vec()).into(),
        node_id: home.map_or(0, |home| home.node_id.0),
        seeds: seeds.to_vec(),
        founders: founders
            .map(|(uuid, address)| Founder {
                node_uuid: uuid.as_bytes().to_vec().into(),
                peer_address: address.clone(),
            })
            .collect(),
        peer_address: String::new(),
    })
}

/// A machine, its folder, and whether its broker runs.
struct Machine {
    address: String,
    uuid: Uuid,
    home: Option<Home>,
    up: bool,
}

struct House {
    machines: Vec<Machine>,
    seeds: Vec<String>,
    drawn: u128,
}

impl House {
    fn new(count: usize) -> House {
        let seeds: Vec<String> = (0..count).map(|at| format!("host{at}:7172")).collect();
        let machine = |(at, address): (usize, &String)| Machine {
            address: address.clone(),
            uuid: Uuid::from_u128(at as u128 + 1),
            home: None,
            up: false,
        };
        let machines = seeds.iter().enumerate().map(machine).collect();
        House { machines, seeds, drawn: 100 }
    }

    /// One broker asks all seeds and does what follows.
    fn ask(&mut self, at: usize) -> Decision {
        let heard: BTreeMap<String, Heard> = self
            .machines
            .iter()
            .map(|machine| {
                let heard = match machine.up {
                    true => me(machine.uuid, &self.seeds, machine.home.as_ref()),
                    false => Heard::Silence("connection refused".into()),
                };
                (machine.address.clone(), heard)
            })
            .collect();
        let decision = decide(self.machines[at].uuid, &heard);
        if let Decision::Found(home) = &decision {
            self.machines[at].home = Some(home.clone());
        }
        decision
    }

    fn clusters(&self) -> BTreeSet<Uuid> {
        self.machines.iter().filter_map(|machine| Some(machine.home.as_ref()?.cluster_id)).collect()
    }

    /// Clusters that a majority of their founders has on disk: those that can elect a leader.
    fn able(&self) -> usize {
        let counts = self.clusters().into_iter().map(|cluster| {
            let homes = self.machines.iter().filter_map(|machine| machine.home.as_ref());
            let of_it: Vec<&Home> = homes.filter(|home| home.cluster_id == cluster).collect();
            of_it.len() > of_it[0].founders.len() / 2
        });
        counts.filter(|able| *able).count()
    }
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn whatever_the_order_of_starts_and_crashes_one_cluster_comes_out() {
    for seed in 0..3000 {
        let mut draw = Draw(seed);
        let mut house = House::new([3, 5][draw.below(2)]);
        let count = house.machines.len();
        let wipes = draw.below(3) == 0;
        let mut wiped = false;
        for _ in 0..60 {
            let at = draw.below(count);
            match draw.below(10) {
                0..4 => house.machines[at].up = true,
                4 => house.machines[at].up = false,
                5 if wipes && !wiped => {
                    wiped = true;
                    house.drawn += 1;
                    let uuid = Uuid::from_u128(house.drawn);
                    let machine = &mut house.machines[at];
                    (machine.uuid, machine.home) = (uuid, None);
                }
                _ if house.machines[at].up && house.machines[at].home.is_none() => {
                    house.ask(at);
                }
                _ => {}
            }
            assert!(house.able() <= 1, "seed {seed}: two clusters can elect a leader");
            assert!(wiped || house.clusters().len() <= 1, "seed {seed}: two clusters, and nothing was lost");
        }
        house.machines.iter_mut().for_each(|machine| machine.up = true);
        for _ in 0..3 {
            for at in 0..count {
                if house.machines[at].home.is_none() {
                    let decision = house.ask(at);
                    let joins = matches!(decision, Decision::Join(_));
                    assert!(joins || house.machines[at].home.is_some(), "seed {seed}: {decision:?}");
                    assert!(!joins || wiped, "seed {seed}: a founder joins as a stranger");
                }
            }
        }
        assert_eq!(house.able(), 1, "seed {seed}");
    }
}

#[test]
fn founding_waits_for_every_seed_and_names_the_missing_one() {
    let mut house = House::new(3);
    house.machines[0].up = true;
    house.machines[2].up = true;
    let Decision::Wait(missing) = house.ask(0) else { panic!("it does not wait") };
    assert_eq!(missing, ["host1:7172: connection refused"]);
    house.machines[1].up = true;
    let Decision::Found(home) = house.ask(2) else { panic!("it does not found") };
    assert_eq!((home.node_id, home.control, home.founders.len()), (NodeId(3), ReplicaId(3), 3));
    let Decision::Found(other) = house.ask(0) else { panic!("it does not adopt") };
    assert_eq!((other.cluster_id, other.node_id), (home.cluster_id, NodeId(1)));
}

#[test]
fn what_is_wrong_with_the_seeds_is_said() {
    let seeds = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let both = seeds(&["a:1", "b:1"]);
    let wait = |heard: Vec<(&str, Heard)>| {
        let heard = heard.into_iter().map(|(seed, heard)| (seed.to_owned(), heard)).collect();
        match decide(own, &heard) {
            Decision::Wait(missing) => missing.join("; "),
            other => panic!("{other:?}"),
        }
    };
    let lists = wait(vec![("a:1", me(own, &both, None)), ("b:1", me(other, &seeds(&["b:1"]), None))]);
    assert!(lists.contains("b:1 has other seeds (b:1)"), "{lists}");
    let strangers = wait(vec![("a:1", me(other, &seeds(&["a:1"]), None))]);
    assert!(strangers.contains("none of the seeds is this broker"), "{strangers}");
    let twice = wait(vec![("a:1", me(own, &both, None)), ("b:1", me(own, &both, None))]);
    assert!(twice.contains("two of the seeds are one broker"), "{twice}");
    let (first, second) = (alone(other, "a:1".into()), alone(Uuid::from_u128(3), "b:1".into()));
    let two = wait(vec![
        ("a:1", me(other, &both, Some(&first))),
        ("b:1", me(Uuid::from_u128(3), &both, Some(&second))),
    ]);
    assert!(two.contains("different clusters"), "{two}");
}

#[test]
fn a_broker_alone_is_joined_and_never_adopted() {
    let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let home = alone(other, "b:1".into());
    let seeds = vec!["b:1".to_owned()];
    let heard = BTreeMap::from([("b:1".to_owned(), me(other, &seeds, Some(&home)))]);
    assert_eq!(decide(own, &heard), Decision::Join("b:1".into()));
}
