//! The first words of a connection: who is there, on both sides, and whether the two have anything to say.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use caudal_proto::peer::{Class, Hello, HelloAnswer, Purpose};
use tokio::net::TcpStream;
use tokio::time::timeout;
use uuid::Uuid;

use super::directory::{Directory, Me, Membership};
use super::frame::{self, FrameError, Frames};
use super::socket;
use crate::ids::NodeId;
use crate::limits;

/// The version of everything that brokers say to each other.
pub const PROTOCOL: u32 = 1;

/// How much of another broker's words is repeated.
const QUOTED_CHARS: usize = 400;

/// Why two brokers have nothing to say to each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HelloRefusal {
    /// Another version.
    #[error("peer protocol {found} is not {PROTOCOL}: install the same release on both brokers")]
    Protocol {
        /// The other's.
        found: u32,
    },
    /// A field that must be there is not.
    #[error("the hello has no valid {field}")]
    Malformed {
        /// Its name.
        field: &'static str,
    },
    /// This process itself.
    #[error(
        "this address leads back to the broker that connects: check its peer.advertise and those of the others"
    )]
    Myself,
    /// Two processes with one identity.
    #[error(
        "another process with the identity of {who} is running at {address}: a data folder was copied; stop one of the two"
    )]
    Twin {
        /// `node N`, or the identity.
        who: String,
        /// HOST:PORT of the first one's peer listener.
        address: String,
    },
    /// It was not founded yet, or not joined.
    #[error("one of the two brokers belongs to no cluster yet")]
    NoCluster,
    /// Another cluster.
    #[error("the cluster is {mine} here, and {theirs} there: check cluster.seeds and data.dir of both")]
    OtherCluster {
        /// Of who says this.
        mine: Uuid,
        /// Of the other one.
        theirs: Uuid,
    },
    /// No member, or not heard of yet.
    #[error("the cluster has no node {node}, as far as is known here")]
    UnknownNode {
        /// Its number.
        node: NodeId,
    },
    /// The member's data folder is another one.
    #[error(
        "node {node} has the identity {known}, not {found}: its data folder was replaced, or its address is another broker's"
    )]
    OtherIdentity {
        /// Its number.
        node: NodeId,
        /// As the cluster knows it.
        known: Uuid,
        /// As it says.
        found: Uuid,
    },
    /// An address that is another member's.
    #[error("node {found} is there, not node {meant}: check peer.advertise of both")]
    OtherNode {
        /// The one that was meant.
        meant: NodeId,
        /// The one that answers.
        found: NodeId,
    },
    /// Too many connections.
    #[error("there are {max} connections already")]
    Full {
        /// The limit.
        max: usize,
    },
}

/// Why a connection to another broker is of no use.
#[derive(Debug, thiserror::Error)]
pub enum GreetError {
    /// No connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// HOST:PORT.
        address: String,
        /// What the system said; `TimedOut` where it said nothing.
        source: io::Error,
    },
    /// A connection, and no answer that can be understood.
    #[error("no answer from {address}: {why}")]
    Answer {
        /// HOST:PORT.
        address: String,
        /// What came.
        why: String,
    },
    /// Another process with this one's identity lives.
    #[error("{address} refuses: {why}")]
    Twin {
        /// HOST:PORT.
        address: String,
        /// Its words.
        why: String,
    },
    /// The other broker refuses.
    #[error("{address} refuses: {why}")]
    Refused {
        /// HOST:PORT.
        address: String,
        /// Its words.
        why: String,
    },
}

/// Who connected, with what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Guest {
    /// A broker of this cluster with envelopes.
    Member {
        /// Its number.
        node: NodeId,
        /// Its identity.
        uuid: Uuid,
        /// Its process.
        boot: Uuid,
        /// What comes.
        class: Class,
        /// Its number is one that was not given yet as far as is known here.
        introduces_itself: bool,
    },
    /// One that looks for its cluster.
    Questioner {
        /// Its number and process, where it says that it is a broker of this cluster.
        member: Option<(NodeId, Uuid)>,
    },
}

/// The hello of this process.
pub(super) fn hello(directory: &Directory, purpose: Purpose, class: Class) -> Hello {
    let (me, membership) = (directory.me(), directory.membership());
    Hello {
        protocol: PROTOCOL,
        cluster_id: membership.cluster.map(bytes_of).unwrap_or_default(),
        node_uuid: bytes_of(me.uuid),
        node_id: membership.node.map_or(0, |node| node.0),
        boot_id: bytes_of(me.boot),
        level: me.level,
        purpose: purpose.into(),
        class: class.into(),
        peer_address: me.peer_address.clone(),
    }
}

fn bytes_of(uuid: Uuid) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(uuid.as_bytes())
}

/// The process that a hello speaks of.
pub(super) fn boot(hello: &Hello) -> Result<Uuid, HelloRefusal> {
    Uuid::from_slice(&hello.boot_id).map_err(|_| HelloRefusal::Malformed { field: "boot id" })
}

/// Who a hello's sender is, if there is anything to say to it.
pub(super) fn check(hello: &Hello, directory: &Directory) -> Result<Guest, HelloRefusal> {
    if hello.protocol != PROTOCOL {
        return Err(HelloRefusal::Protocol { found: hello.protocol });
    }
    let membership = directory.membership();
    let uuid =
        Uuid::from_slice(&hello.node_uuid).map_err(|_| HelloRefusal::Malformed { field: "node uuid" })?;
    let boot = boot(hello)?;
    let purpose = hello.purpose();
    not_my_twin(uuid, boot, directory.me(), &membership)?;
    match purpose {
        Purpose::Unspecified => Err(HelloRefusal::Malformed { field: "purpose" }),
        Purpose::Questions => {
            let node = NodeId(hello.node_id);
            let member = membership.cluster.is_some_and(|mine| hello.cluster_id == mine.as_bytes()[..])
                && directory.knows(node, uuid);
            Ok(Guest::Questioner { member: member.then_some((node, boot)) })
        }
        Purpose::Messages => {
            if boot == directory.me().boot {
                return Err(HelloRefusal::Myself);
            }
            let class = hello.class();
            if class == Class::Unspecified {
                return Err(HelloRefusal::Malformed { field: "class" });
            }
            let known = member(hello, uuid, &membership);
            let introduces_itself = matches!(
                known,
                Err(HelloRefusal::UnknownNode { node })
                    if node >= membership.next_node && !hello.peer_address.is_empty()
            );
            let node = if introduces_itself { NodeId(hello.node_id) } else { known? };
            Ok(Guest::Member { node, uuid, boot, class, introduces_itself })
        }
    }
}

/// Whether the broker that answered is the one that was meant. Its process.
pub(super) fn check_answer(
    hello: &Hello,
    meant: NodeId,
    directory: &Directory,
) -> Result<Uuid, HelloRefusal> {
    let membership = directory.membership();
    let uuid =
        Uuid::from_slice(&hello.node_uuid).map_err(|_| HelloRefusal::Malformed { field: "node uuid" })?;
    let boot = boot(hello)?;
    if boot == directory.me().boot {
        return Err(HelloRefusal::Myself);
    }
    not_my_twin(uuid, boot, directory.me(), &membership)?;
    let node = member(hello, uuid, &membership)?;
    if node != meant {
        return Err(HelloRefusal::OtherNode { meant, found: node });
    }
    Ok(boot)
}

fn not_my_twin(uuid: Uuid, boot: Uuid, me: &Me, membership: &Membership) -> Result<(), HelloRefusal> {
    if uuid != me.uuid || boot == me.boot {
        return Ok(());
    }
    let who = membership.node.map_or_else(|| uuid.to_string(), |node| format!("node {node}"));
    Err(HelloRefusal::Twin { who, address: me.peer_address.clone() })
}

fn member(hello: &Hello, uuid: Uuid, membership: &Membership) -> Result<NodeId, HelloRefusal> {
    let mine = membership.cluster.ok_or(HelloRefusal::NoCluster)?;
    if hello.cluster_id.is_empty() {
        return Err(HelloRefusal::NoCluster);
    }
    let theirs =
        Uuid::from_slice(&hello.cluster_id).map_err(|_| HelloRefusal::Malformed { field: "cluster id" })?;
    if mine != theirs {
        return Err(HelloRefusal::OtherCluster { mine, theirs });
    }
    let node = NodeId(hello.node_id);
    match membership.nodes.get(&node) {
        None => Err(HelloRefusal::UnknownNode { node }),
        Some(contact) => match contact.uuid {
            Some(known) if known != uuid => Err(HelloRefusal::OtherIdentity { node, known, found: uuid }),
            _ => Ok(node),
        },
    }
}

/// Connects, says `hello` and reads the answer. The connection and who is there.
pub(super) async fn greet(address: &str, hello: &Hello) -> Result<(Frames, Hello), GreetError> {
    let unreachable = |source| GreetError::Connect { address: address.to_owned(), source };
    let connecting = timeout(Duration::from_millis(limits::PEER_CONNECT_MS), TcpStream::connect(address));
    let stream =
        connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
    socket::prepare(&stream).map_err(unreachable)?;
    let mut frames = frame::frames(stream, limits::PEER_HELLO_BYTES_MAX);
    let asked = async {
        frame::write(frames.get_mut(), hello, &mut BytesMut::new()).await?;
        frame::next_message::<HelloAnswer>(&mut frames).await
    };
    let wait = Duration::from_millis(limits::PEER_HELLO_MS);
    let answer = match timeout(wait, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it said nothing for {wait:?}")),
    };
    let answer = answer.map_err(|why| GreetError::Answer { address: address.to_owned(), why })?;
    let refused = |why: &str| GreetError::Refused { address: address.to_owned(), why: quoted(why) };
    if answer.twin {
        return Err(GreetError::Twin { address: address.to_owned(), why: quoted(&answer.refused) });
    }
    if !answer.refused.is_empty() {
        return Err(refused(&answer.refused));
    }
    match answer.hello {
        Some(hello) if hello.protocol == PROTOCOL => Ok((frames, hello)),
        Some(hello) => Err(refused(&HelloRefusal::Protocol { found: hello.protocol }.to_string())),
        None => Err(refused(&HelloRefusal::Malformed { field: "sender" }.to_string())),
    }
}

/// Reads the hello of one who connected.
pub(super) async fn read(frames: &mut Frames) -> Result<Hello, FrameError> {
    timeout(Duration::from_millis(limits::PEER_HELLO_MS), frame::next_message(frames))
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Another process's words, for the log of this one.
fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS).flat_map(char::escape_debug).collect()
}
