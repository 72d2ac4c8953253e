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

/// A machine: its folder, and the broker on it.
struct Machine {
    address: String,
    uuid: Uuid,
    home: Option<Home>,
    up: bool,
    search: Search,
    /// What the round of questions that is under way has brought.
    heard: BTreeMap<String, Heard>,
    /// What is to be written to the folder next.
    decided: Option<Home>,
}

impl Machine {
    fn new(address: String, uuid: u128) -> Machine {
        let uuid = Uuid::from_u128(uuid);
        let (search, heard) = (Search::new(uuid), BTreeMap::new());
        Machine { address, uuid, home: None, up: false, search, heard, decided: None }
    }

    /// The process ends: what is not in the folder is gone.
    fn crash(&mut self) {
        self.up = false;
        (self.search, self.decided) = (Search::new(self.uuid), None);
        self.heard.clear();
    }

    /// The folder is emptied: the next start is another node.
    fn wipe(&mut self, uuid: u128) {
        (self.uuid, self.home) = (Uuid::from_u128(uuid), None);
        self.crash();
    }
}

/// Seeds, and brokers that are none, which come later.
struct House {
    machines: Vec<Machine>,
    seeds: Vec<String>,
    /// The founders of each cluster that is, or was, on a disk.
    founders: BTreeMap<Uuid, Vec<Uuid>>,
    /// Clusters that a majority of their founders had on disk at one time: they could elect a leader.
    elected: BTreeSet<Uuid>,
    joined: i32,
    draw: Draw,
}

impl House {
    fn new(seed: u64) -> House {
        let mut draw = Draw(seed);
        let (seeds, later) = ([3, 5][draw.below(2)], draw.below(3));
        let address = |at: usize| format!("host{at}:7172");
        let machines = (0..seeds + later).map(|at| Machine::new(address(at), at as u128 + 1)).collect();
        let (founders, elected) = (BTreeMap::new(), BTreeSet::new());
        House { machines, seeds: (0..seeds).map(address).collect(), founders, elected, joined: 100, draw }
    }

    /// The broker on a machine does the next thing: asks one seed, draws its conclusion, or writes it down.
    fn step(&mut self, at: usize, lossy: bool) {
        if !self.machines[at].up || self.machines[at].home.is_some() {
            return;
        }
        if let Some(home) = self.machines[at].decided.take() {
            self.settle(at, home);
            return;
        }
        let unasked =
            (0..self.seeds.len()).filter(|of| !self.machines[at].heard.contains_key(&self.seeds[*of]));
        let unasked: Vec<usize> = unasked.collect();
        if !unasked.is_empty() {
            let of = &self.machines[unasked[self.draw.below(unasked.len())]];
            let heard = match of.up && !(lossy && self.draw.below(50) == 0) {
                true => me(of.uuid, &self.seeds, of.home.as_ref()),
                false => Heard::Silence("connection refused".into()),
            };
            let address = of.address.clone();
            self.machines[at].heard.insert(address, heard);
            return;
        }
        let heard = std::mem::take(&mut self.machines[at].heard);
        let decision = self.machines[at].search.hear(&heard);
        self.machines[at].decided = match decision {
            Decision::Found(home) => Some(home),
            Decision::Join(seed) => self.take_in(&seed),
            Decision::Wait(_) | Decision::Confirm => None,
        };
    }

    fn settle(&mut self, at: usize, home: Home) {
        if !home.founders.is_empty() {
            let founders = home.founders.iter().map(|(uuid, _)| *uuid).collect();
            self.founders.insert(home.cluster_id, founders);
        }
        let cluster = home.cluster_id;
        self.machines[at].home = Some(home);
        if self.is_led(cluster, |_| true) {
            self.elected.insert(cluster);
        }
    }

    /// Whether most founders of a cluster are there.
    fn is_led(&self, cluster: Uuid, there: impl Fn(&Machine) -> bool) -> bool {
        let founders = &self.founders[&cluster];
        let of_it = |machine: &&Machine| {
            let home = machine.home.as_ref().is_some_and(|home| home.cluster_id == cluster);
            home && founders.contains(&machine.uuid) && there(machine)
        };
        self.machines.iter().filter(of_it).count() > founders.len() / 2
    }

    /// A place in the cluster of a seed, if it is led at the moment.
    fn take_in(&mut self, seed: &str) -> Option<Home> {
        let via = self.machines.iter().find(|machine| machine.address == seed && machine.up)?;
        let cluster_id = via.home.as_ref()?.cluster_id;
        if !self.is_led(cluster_id, |machine| machine.up) {
            return None;
        }
        self.joined += 1;
        let (node_id, control) = (NodeId(self.joined), ReplicaId(u64::from(self.joined.unsigned_abs())));
        Some(Home { cluster_id, node_id, control, founders: Vec::new(), contacts: Vec::new() })
    }

    fn clusters(&self) -> BTreeSet<Uuid> {
        self.machines.iter().filter_map(|machine| Some(machine.home.as_ref()?.cluster_id)).collect()
    }
}

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// One life: starts, crashes and at most one emptied folder between any two steps; then all is well. Whether a folder
/// was emptied.
fn live(seed: u64) -> bool {
    let mut house = House::new(seed);
    let count = house.machines.len();
    let wipes = house.draw.below(2) == 0;
    let (mut wiped, mut elected_before) = (false, false);
    let mut crashes = 0;
    for _ in 0..400 {
        let at = house.draw.below(count);
        match house.draw.below(100) {
            0..8 => house.machines[at].up = true,
            8 if crashes < 8 => {
                crashes += 1;
                house.machines[at].crash();
            }
            9 if wipes && !wiped && at < house.seeds.len() => {
                (wiped, elected_before) = (true, !house.elected.is_empty());
                house.machines[at].wipe(1000);
            }
            _ => house.step(at, true),
        }
        assert!(house.elected.len() <= 1, "seed {seed}: two clusters could elect a leader");
        assert!(wiped || house.clusters().len() <= 1, "seed {seed}: two clusters, and nothing was lost");
    }
    house.machines.iter_mut().for_each(|machine| machine.up = true);
    for _ in 0..60 {
        (0..count).for_each(|at| house.step(at, false));
    }
    let clusters = house.clusters().len();
    assert!(house.elected.len() <= 1, "seed {seed}: two clusters could elect a leader");
    assert!(clusters == 1 || (wiped && !elected_before), "seed {seed}: {clusters} clusters");
    if clusters == 1 {
        assert_eq!(house.elected, house.clusters(), "seed {seed}");
        let homeless = house.machines.iter().find(|machine| machine.home.is_none());
        assert!(homeless.is_none(), "seed {seed}: {} found nothing", homeless.unwrap().address);
    }
    wiped
}

#[test]
fn whatever_the_order_of_starts_and_crashes_one_cluster_comes_out() {
    let wiped = (0..4000).filter(|seed| live(*seed)).count();
    assert!(wiped > 1000, "{wiped} emptied folders");
}

#[test]
fn founding_waits_for_every_seed_and_names_the_missing_one() {
    let seeds: Vec<String> = ["a:1", "b:1", "c:1"].map(str::to_owned).into();
    let uuid = |at: u128| Uuid::from_u128(at);
    let said = |home: Option<&Home>| {
        let founding = [me(uuid(1), &seeds, home), me(uuid(2), &seeds, None), me(uuid(3), &seeds, None)];
        seeds.iter().cloned().zip(founding).collect::<BTreeMap<_, _>>()
    };
    let mut search = Search::new(uuid(3));
    let mut heard = said(None);
    heard.insert("b:1".into(), Heard::Silence("connection refused".into()));
    assert_eq!(search.hear(&heard), Decision::Wait(vec!["b:1: connection refused".into()]));
    assert_eq!(search.hear(&said(None)), Decision::Confirm);
    let Decision::Found(home) = search.hear(&said(None)) else { panic!("it does not found") };
    assert_eq!((home.node_id, home.control, home.founders.len()), (NodeId(3), ReplicaId(3), 3));
    let mut late = Search::new(uuid(2));
    assert_eq!(late.hear(&said(Some(&home))), Decision::Confirm);
    let Decision::Found(other) = late.hear(&said(Some(&home))) else { panic!("it does not adopt") };
    assert_eq!((other.cluster_id, other.node_id), (home.cluster_id, NodeId(2)));
}

#[test]
fn what_comes_out_differently_the_second_time_is_asked_again() {
    let seeds: Vec<String> = ["a:1", "b:1"].map(str::to_owned).into();
    let own = Uuid::from_u128(1);
    let said = |other: u128| {
        let founding = [me(own, &seeds, None), me(Uuid::from_u128(other), &seeds, None)];
        seeds.iter().cloned().zip(founding).collect::<BTreeMap<_, _>>()
    };
    let mut search = Search::new(own);
    assert_eq!(search.hear(&said(2)), Decision::Confirm);
    assert_eq!(search.hear(&said(3)), Decision::Confirm, "its folder was emptied");
    let mut missing = said(3);
    missing.insert("b:1".into(), Heard::Silence("gone".into()));
    assert!(matches!(search.hear(&missing), Decision::Wait(_)));
    assert_eq!(search.hear(&said(3)), Decision::Confirm, "nothing is left of before");
    assert!(matches!(search.hear(&said(3)), Decision::Found(_)));
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
    let Heard::Said(half) = me(other, &both, None) else { unreachable!() };
    let half = Heard::Said(Me { cluster_id: vec![7; 15].into(), ..half });
    let nonsense = wait(vec![("a:1", me(own, &both, None)), ("b:1", half)]);
    assert!(nonsense.contains("b:1 does not say which cluster"), "{nonsense}");
}

#[test]
fn a_broker_alone_is_joined_and_never_adopted() {
    let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let home = alone(other, "b:1".into());
    let seeds = vec!["b:1".to_owned()];
    let heard = BTreeMap::from([("b:1".to_owned(), me(other, &seeds, Some(&home)))]);
    assert_eq!(decide(own, &heard), Decision::Join("b:1".into()));
}
