//! What a broker is to the others of its cluster: where it belongs, and what it answers to one that looks for its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use caudal_proto::peer::{
    Answer, Contact as ContactAnswer, Founder as FounderAnswer, Join, Joined, Me as MeAnswer, Question,
    Refused, answer, question,
};
use uuid::Uuid;

use crate::config::Config;
use crate::ids::{NodeId, PartitionId};
use crate::log::Home;
use crate::node::{Founder, Identity};
use crate::refusal::Refusal;
use crate::runtime::clock::Clock;
use crate::runtime::handle::Handle;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::peers::{Answering, Contact, Directory, Me, Membership, Questions, Transport};
use crate::runtime::views::Views;
use crate::state::{FIRST_NODE, LEVEL, NewMember, Reply, Request};

/// The transport of a broker whose peer listener is bound to `bound`. It belongs to no cluster yet.
pub(super) fn transport(
    config: &Config,
    uuid: Uuid,
    bound: SocketAddr,
    mailboxes: Arc<[Mailbox]>,
    clock: Clock,
) -> Arc<Transport> {
    let peer_address = config.peer_address(bound);
    let me = Me { uuid, boot: Uuid::new_v4(), peer_address, level: LEVEL };
    Arc::new(Transport::new(Arc::new(Directory::new(me)), mailboxes, clock))
}

/// The others, as far as the folder knows them before the catalog does.
pub(super) fn membership(home: &Home, me: &Me) -> Membership {
    let mut nodes: BTreeMap<NodeId, Contact> = BTreeMap::new();
    for (number, (uuid, address)) in (FIRST_NODE.0..).zip(&home.founders) {
        nodes.insert(NodeId(number), Contact { uuid: Some(*uuid), address: address.clone() });
    }
    for (node, address) in &home.contacts {
        nodes.insert(*node, Contact { uuid: None, address: address.clone() });
    }
    nodes.insert(home.node_id, Contact { uuid: Some(me.uuid), address: me.peer_address.clone() });
    let next_node = NodeId(nodes.keys().next_back().map_or(FIRST_NODE.0, |last| last.0 + 1));
    Membership { cluster: Some(home.cluster_id), node: Some(home.node_id), nodes, next_node }
}

/// Where others may be before the catalog says it: the seeds, and whom the folder names.
pub(super) fn elsewhere(config: &Config, home: Option<&Home>, me: &Me) -> BTreeSet<String> {
    let founders = home.into_iter().flat_map(|home| &home.founders).map(|(_, address)| address);
    let contacts = home.into_iter().flat_map(|home| &home.contacts).map(|(_, address)| address);
    let all = config.cluster_seeds.iter().chain(founders).chain(contacts);
    all.filter(|address| **address != me.peer_address).cloned().collect()
}

/// Who the machine takes itself for.
pub(super) fn identity(home: &Home, me: &Me, address: String, rack: Option<String>) -> Identity {
    let founders = home.founders.iter();
    Identity {
        node_uuid: me.uuid,
        address,
        peer_address: me.peer_address.clone(),
        rack,
        node: home.node_id,
        control: home.control,
        founders: founders
            .map(|(uuid, peer_address)| Founder { uuid: *uuid, peer_address: peer_address.clone() })
            .collect(),
    }
}

/// What a broker says of itself when it asks to be taken in.
pub(super) fn introduction(me: &Me, grpc_address: String, rack: Option<&str>) -> Join {
    Join {
        node_uuid: me.uuid.as_bytes().to_vec().into(),
        grpc_address,
        peer_address: me.peer_address.clone(),
        rack: rack.unwrap_or_default().to_owned(),
        level: me.level,
    }
}

/// Answers those who look for their cluster: first that there is none yet, then which, and it takes them in where this
/// broker leads the control partition.
pub(super) struct Desk {
    directory: Arc<Directory>,
    seeds: Vec<String>,
    home: OnceLock<Home>,
    /// The way to the control partition, and what is known of it.
    control: OnceLock<(Handle, Arc<Views>)>,
}

impl Desk {
    pub(super) fn new(directory: &Arc<Directory>, seeds: &[String]) -> Desk {
        let (home, control) = (OnceLock::new(), OnceLock::new());
        Desk { directory: Arc::clone(directory), seeds: seeds.to_vec(), home, control }
    }

    /// The broker belongs to a cluster, and that is on disk.
    pub(super) fn settled(&self, home: &Home) {
        let _ = self.home.set(home.clone());
    }

    /// The broker runs.
    pub(super) fn runs(&self, handle: Handle, views: Arc<Views>) {
        let _ = self.control.set((handle, views));
    }

    fn me(&self) -> answer::Kind {
        let (me, home) = (self.directory.me(), self.home.get());
        let founders = home.into_iter().flat_map(|home| &home.founders);
        answer::Kind::Me(MeAnswer {
            node_uuid: me.uuid.as_bytes().to_vec().into(),
            cluster_id: home.map_or_else(Vec::new, |home| home.cluster_id.as_bytes().to_vec()).into(),
            node_id: home.map_or(0, |home| home.node_id.0),
            seeds: self.seeds.clone(),
            founders: founders
                .map(|(uuid, address)| FounderAnswer {
                    node_uuid: uuid.as_bytes().to_vec().into(),
                    peer_address: address.clone(),
                })
                .collect(),
            peer_address: me.peer_address.clone(),
        })
    }

    async fn take_in(&self, join: Join) -> answer::Kind {
        let (Some(home), Some((handle, views))) = (self.home.get(), self.control.get()) else {
            return later("this broker has just started", String::new());
        };
        let Ok(uuid) = Uuid::from_slice(&join.node_uuid) else { return never("no identity was sent") };
        if join.level < views.catalog().level() {
            return never("its release is too old for this cluster: install the one that the others run");
        }
        let rack = Some(join.rack).filter(|rack| !rack.is_empty());
        let (address, peer_address) = (join.grpc_address, join.peer_address);
        let member = NewMember { uuid, address, peer_address, rack, level: join.level };
        match handle.control(Request::RegisterNode(member)).await {
            Ok(Reply::RegisterNode(known)) => {
                let contacts = views.catalog();
                answer::Kind::Joined(Joined {
                    cluster_id: home.cluster_id.as_bytes().to_vec().into(),
                    node_id: known.node.0,
                    control_replica: known.replica.0,
                    contacts: contacts
                        .members()
                        .map(|member| ContactAnswer {
                            node_id: member.id.0,
                            peer_address: member.peer_address.clone(),
                        })
                        .collect(),
                })
            }
            Ok(_) => never("the control partition answers another question: this is a bug"),
            Err(Refusal::LeaderNotReady) => later("the control partition is led elsewhere", leader(views)),
            Err(refusal) => later(&refusal.to_string(), String::new()),
        }
    }
}

/// The peer address of the broker that leads the control partition, where it is known.
fn leader(views: &Views) -> String {
    let (leader, _) = views.leader(PartitionId::CONTROL);
    let catalog = views.catalog();
    leader.and_then(|node| catalog.member(node)).map_or(String::new(), |member| member.peer_address.clone())
}

fn later(why: &str, ask: String) -> answer::Kind {
    answer::Kind::Refused(Refused { why: why.to_owned(), retry: true, ask })
}

fn never(why: &str) -> answer::Kind {
    answer::Kind::Refused(Refused { why: why.to_owned(), retry: false, ask: String::new() })
}

impl Questions for Desk {
    fn answer(&self, question: Question) -> Answering<'_> {
        Box::pin(async move {
            let kind = match question.kind {
                Some(question::Kind::Who(_)) => self.me(),
                Some(question::Kind::Join(join)) => self.take_in(join).await,
                None => never("the question is not known here: install the same release on both brokers"),
            };
            Answer { kind: Some(kind) }
        })
    }
}
