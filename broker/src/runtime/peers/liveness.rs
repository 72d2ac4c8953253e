//! Who lives: told to every shard, once per change.
//!
//! Two things say that a broker is down. Its process has ended: the last control stream to or from that process ended,
//! or it refuses connections and has no stream. Or it is silent: no envelope of it was heard on any connection for
//! [`limits::PEER_SILENCE_MS`]. One stream that ends while others of the process live says nothing: an address was
//! changed, or one of its threads has begun anew.
//!
//! A process is its boot id. Two that live at the same time with one identity are two copies of one data folder: the
//! second is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caudal_proto::peer::Class;
use tokio::sync::watch;
use uuid::Uuid;

use super::event::PeerEvent;
use super::hello::HelloRefusal;
use crate::ids::NodeId;
use crate::limits;
use crate::runtime::mailbox::{Mail, Mailbox};

/// What is known of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not heard yet, and not missed either.
    Unknown,
    Up,
    Down,
}

#[derive(Debug)]
struct Peer {
    standing: Standing,
    /// When it was heard, or was begun to be listened for.
    heard_ms: u64,
    /// Its process.
    boot: Option<Uuid>,
    /// HOST:PORT of that process's peer listener, as it says.
    address: String,
    /// Open control streams to and from each of its processes.
    streams: BTreeMap<Uuid, usize>,
}

#[derive(Debug, Default)]
struct Table {
    peers: BTreeMap<NodeId, Peer>,
    /// When silence was looked for.
    checked_ms: u64,
    /// Silence before this does not count: nobody listened.
    deaf_until_ms: u64,
}

/// A connection's claim that its process lives, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Stream {
    liveness: Arc<Liveness>,
    node: NodeId,
    boot: Uuid,
    counts: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.counts {
            self.liveness.ended(self.node, self.boot);
        }
    }
}

/// The brokers of the cluster, as they are heard.
#[derive(Debug)]
pub(super) struct Liveness {
    table: Mutex<Table>,
    mailboxes: Arc<[Mailbox]>,
    /// The last one that came up.
    came_up: watch::Sender<Option<NodeId>>,
}

impl Liveness {
    /// Nobody is known yet. Changes go to all `mailboxes`.
    pub(super) fn new(mailboxes: Arc<[Mailbox]>) -> Liveness {
        Liveness { table: Mutex::default(), mailboxes, came_up: watch::Sender::new(None) }
    }

    /// From here on a broker is missed where it is not heard.
    pub(super) fn expect(&self, node: NodeId, now_ms: u64) {
        self.table().peer(node, now_ms);
    }

    /// Forgets brokers that are no members any more.
    pub(super) fn retain(&self, member: impl Fn(NodeId) -> bool) {
        let mut table = self.table();
        let gone: Vec<NodeId> = table.peers.keys().copied().filter(|node| !member(*node)).collect();
        for node in gone {
            self.down(&mut table, node, "it is no member any more");
            table.peers.remove(&node);
        }
    }

    /// A process of a broker has said hello. What is returned is kept as long as its connection is open.
    ///
    /// # Errors
    /// Another process of the broker lives.
    pub(super) fn enter(
        self: &Arc<Self>,
        node: NodeId,
        boot: Uuid,
        class: Class,
        address: &str,
        now_ms: u64,
    ) -> Result<Stream, HelloRefusal> {
        let counts = class == Class::Control;
        let mut table = self.table();
        self.not_a_twin(&table, node, boot, now_ms)?;
        let peer = table.peer(node, now_ms);
        if peer.boot != Some(boot) {
            peer.boot = Some(boot);
            peer.heard_ms = now_ms;
        }
        address.clone_into(&mut peer.address);
        if counts {
            *peer.streams.entry(boot).or_default() += 1;
        }
        Ok(Stream { liveness: Arc::clone(self), node, boot, counts })
    }

    /// Whether no other process of the broker lives.
    pub(super) fn check_twin(&self, node: NodeId, boot: Uuid, now_ms: u64) -> Result<(), HelloRefusal> {
        self.not_a_twin(&self.table(), node, boot, now_ms)
    }

    fn not_a_twin(&self, table: &Table, node: NodeId, boot: Uuid, now_ms: u64) -> Result<(), HelloRefusal> {
        let Some(peer) = table.peers.get(&node) else { return Ok(()) };
        let lives = |first| {
            first != boot
                && peer.streams.contains_key(&first)
                && now_ms - peer.heard_ms.min(now_ms) < limits::PEER_TWIN_MS
        };
        if peer.boot.is_some_and(lives) {
            return Err(HelloRefusal::Twin { who: format!("node {node}"), address: peer.address.clone() });
        }
        Ok(())
    }

    /// An envelope of a process has come. `false` where the process was superseded by another one of its broker.
    pub(super) fn heard(&self, node: NodeId, boot: Uuid, now_ms: u64) -> bool {
        let mut table = self.table();
        let Some(peer) = table.peers.get_mut(&node).filter(|peer| peer.boot == Some(boot)) else {
            return false;
        };
        peer.heard_ms = now_ms;
        if peer.standing != Standing::Up {
            peer.standing = Standing::Up;
            tracing::info!(%node, "the broker is heard");
            self.tell(&PeerEvent::Up(node));
            self.came_up.send_replace(Some(node));
        }
        true
    }

    /// A broker's address refuses connections.
    pub(super) fn refused(&self, node: NodeId) {
        let mut table = self.table();
        if table.peers.get(&node).is_some_and(|peer| peer.streams.is_empty()) {
            self.down(&mut table, node, "it refuses connections");
        }
    }

    fn ended(&self, node: NodeId, boot: Uuid) {
        let mut table = self.table();
        let Some(peer) = table.peers.get_mut(&node) else { return };
        let Some(open) = peer.streams.get_mut(&boot) else { return };
        *open -= 1;
        if *open == 0 {
            peer.streams.remove(&boot);
            if peer.boot == Some(boot) {
                self.down(&mut table, node, "its connections have ended");
            }
        }
    }

    /// Looks for silent brokers; called every [`limits::PEER_CHECK_MS`]. A call that is late says that this process
    /// itself was asleep: then everybody has the full time again.
    pub(super) fn check(&self, now_ms: u64) {
        let mut table = self.table();
        if now_ms - table.checked_ms.min(now_ms) > limits::PEER_SILENCE_MS / 2 {
            table.deaf_until_ms = now_ms;
        }
        table.checked_ms = now_ms;
        let deaf_until = table.deaf_until_ms;
        let silent = |peer: &Peer| {
            let since = peer.heard_ms.max(deaf_until);
            peer.standing != Standing::Down && now_ms - since.min(now_ms) > limits::PEER_SILENCE_MS
        };
        let silent: Vec<NodeId> =
            table.peers.iter().filter(|(_, peer)| silent(peer)).map(|(node, _)| *node).collect();
        for node in silent {
            self.down(&mut table, node, "it is silent");
        }
    }

    /// Waits until a broker that is not heard now is heard again. One that is heard already is not waited for.
    pub(super) async fn comes_up(&self, node: NodeId) {
        let mut came_up = self.came_up.subscribe();
        // The sender lives as long as `self`, so the wait cannot end in an error.
        while came_up.changed().await.is_ok() {
            if *came_up.borrow_and_update() == Some(node) {
                return;
            }
        }
    }

    fn down(&self, table: &mut Table, node: NodeId, why: &str) {
        let Some(peer) = table.peers.get_mut(&node) else { return };
        if peer.standing != Standing::Down {
            peer.standing = Standing::Down;
            tracing::warn!(%node, "the broker is down: {why}");
            self.tell(&PeerEvent::Down(node));
        }
    }

    /// Under the table's lock, so that all shards hear of changes in their order.
    fn tell(&self, event: &PeerEvent) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(&mut vec![Mail::Peer(event.clone())]);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn peer(&mut self, node: NodeId, now_ms: u64) -> &mut Peer {
        self.peers.entry(node).or_insert_with(|| Peer {
            standing: Standing::Unknown,
            heard_ms: now_ms,
            boot: None,
            address: String::new(),
            streams: BTreeMap::new(),
        })
    }
}
