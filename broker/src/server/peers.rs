//! What a broker has for the others of its cluster: who it is, and what it answers to one that looks for its cluster.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use caudal_proto::peer::{Answer, Me as MeAnswer, Question, Refused, answer, question};
use uuid::Uuid;

use crate::config::Config;
use crate::ids::NodeId;
use crate::log::Folder;
use crate::runtime::clock::Clock;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::peers::{Answering, Contact, Directory, Me, Membership, Questions, Transport};
use crate::state::{FIRST_NODE, LEVEL};

/// The transport of a broker whose peer listener is bound to `bound`. It knows itself.
pub(super) fn transport(
    config: &Config,
    folder: &Folder,
    bound: SocketAddr,
    mailboxes: Arc<[Mailbox]>,
    clock: Clock,
) -> Arc<Transport> {
    let identity = folder.identity();
    let address = config.peer_address(bound);
    let me =
        Me { uuid: identity.node_uuid, boot: Uuid::new_v4(), peer_address: address.clone(), level: LEVEL };
    let transport = Transport::new(Arc::new(Directory::new(me)), mailboxes, clock);
    let myself = Contact { uuid: Some(identity.node_uuid), address };
    transport.set_membership(Membership {
        cluster: Some(identity.cluster_id),
        node: Some(FIRST_NODE),
        nodes: BTreeMap::from([(FIRST_NODE, myself)]),
        next_node: NodeId(FIRST_NODE.0 + 1),
    });
    Arc::new(transport)
}

/// A broker that is a cluster alone: it says who it is, and takes nobody in.
#[derive(Debug)]
pub(super) struct Alone {
    directory: Arc<Directory>,
    seeds: Vec<String>,
}

impl Alone {
    pub(super) fn new(config: &Config, transport: &Transport) -> Alone {
        Alone { directory: Arc::clone(transport.directory()), seeds: config.cluster_seeds.clone() }
    }
}

impl Questions for Alone {
    fn answer(&self, question: Question) -> Answering<'_> {
        let kind = match question.kind {
            Some(question::Kind::Who(_)) => {
                let (me, membership) = (self.directory.me(), self.directory.membership());
                answer::Kind::Me(MeAnswer {
                    node_uuid: me.uuid.as_bytes().to_vec().into(),
                    cluster_id: membership.cluster.map_or_else(Vec::new, |id| id.as_bytes().to_vec()).into(),
                    node_id: membership.node.map_or(0, |node| node.0),
                    seeds: self.seeds.clone(),
                    founders: Vec::new(),
                    peer_address: me.peer_address.clone(),
                })
            }
            Some(question::Kind::Join(_)) => {
                refused("this broker is a cluster of its own, which takes no other brokers in")
            }
            None => refused("the question is not known here: install the same release on both brokers"),
        };
        Box::pin(std::future::ready(Answer { kind: Some(kind) }))
    }
}

fn refused(why: &str) -> answer::Kind {
    answer::Kind::Refused(Refused { why: why.to_owned(), retry: false, ask: String::new() })
}
