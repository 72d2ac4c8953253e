//! The threads of a broker: one for each shard, and the disk's.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic_health::pb::health_server::{Health, HealthServer};
use uuid::Uuid;

use super::recovery::Logs;
use super::{Broker, ServeError};
use crate::http::{Inside, Shown};
use crate::ids::ShardId;
use crate::limits;
use crate::limits::SNAPSHOT_ENTRIES;
use crate::log::{Disk, Fatal, MetaLog};
use crate::node::Options;
use crate::rpc::forward::Channels;
use crate::rpc::{self, Door};
use crate::runtime::connections;
use crate::runtime::disk;
use crate::runtime::event_loop::{EventLoop, Parts};
use crate::runtime::handle::{Call, Handle};
use crate::runtime::life::{Life, Phase};
use crate::runtime::peers::{PeerThread, Peers};
use crate::runtime::shard::{Shard, ShardOptions};

/// The running threads.
pub(super) struct Shards {
    threads: Vec<JoinHandle<()>>,
    /// It ends last: what is taken is answered when other brokers have it.
    peers: PeerThread,
    life: Arc<Life>,
}

/// What one shard's thread begins with.
struct Seat<H: Health> {
    id: ShardId,
    machine: EventLoop,
    listener: TcpListener,
    connections: usize,
    own: mpsc::Sender<Call>,
    door: Door,
    health: HealthServer<H>,
}

impl Shards {
    /// Starts the disk thread and the shards.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub(super) fn start<H: Health>(
        broker: &Broker,
        meta: MetaLog,
        recovered: Vec<Logs>,
        (listeners, peers): (Vec<TcpListener>, PeerThread),
        health: &HealthServer<H>,
        shown: &Shown,
    ) -> Result<Shards, ServeError> {
        let count = listeners.len();
        let (inboxes, calls): (Vec<_>, Vec<_>) =
            (0..count).map(|_| mpsc::channel(limits::SHARD_INBOX_MAX)).unzip();
        // A shard has one round at the disk.
        let (done, completions): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(1)).unzip();
        let root = broker.folder.root().to_owned();
        let deleted = meta.deleted();
        let disk = Disk::new(Arc::clone(&broker.fs), root.clone(), meta);
        let life = Arc::clone(&broker.life);
        let (rounds, thread) =
            disk::start(disk, done, Arc::clone(&life), (Arc::clone(&broker.meters), broker.clock))
                .map_err(ServeError::Thread)?;
        let mut shards = Shards { threads: vec![thread], peers, life };
        let handle = Handle::new(inboxes.clone());
        let channels = Arc::new(Channels::default());
        broker.desk.runs(handle.clone(), Arc::clone(&broker.views));
        shown.runs(broker.inside(handle.clone()));
        let parts = (0..).zip(recovered).zip(listeners).zip(calls.into_iter().zip(completions)).zip(inboxes);
        for ((((number, recovered), listener), (inbox, done)), own) in parts {
            let id = ShardId(number);
            let node = options(broker, id, count);
            let meter = Arc::clone(&broker.meters.shards[number as usize]);
            let (fs, root) = (Arc::clone(&broker.fs), root.clone());
            let machine = EventLoop::new(Parts {
                shard: Shard::new(ShardOptions { node, fs, root, recovered, deleted: deleted.clone() }),
                id,
                inbox,
                done,
                mailboxes: Arc::clone(&broker.mailboxes),
                rounds: rounds.clone(),
                views: Arc::clone(&broker.views),
                readers: broker.readers.clone(),
                peers: Peers::new(id, Arc::clone(&broker.transport)),
                transport: Arc::clone(&broker.transport),
                life: Arc::clone(&broker.life),
                clock: broker.clock,
                meter: Arc::clone(&meter),
            });
            let door = Door {
                handle: handle.clone(),
                views: Arc::clone(&broker.views),
                readers: broker.readers.clone(),
                clock: broker.clock,
                life: Arc::clone(&broker.life),
                shard: id,
                about: Arc::clone(&broker.about),
                channels: Arc::clone(&channels),
                meter,
            };
            let health = health.clone();
            let seat = Seat { id, machine, listener, connections: broker.connections, own, door, health };
            match seat.start() {
                Ok(thread) => shards.threads.push(thread),
                Err(error) => {
                    shards.life.stop();
                    shards.join();
                    return Err(ServeError::Thread(error));
                }
            }
        }
        Ok(shards)
    }

    /// Waits until all have ended.
    pub(super) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                self.life.fail(panicked("a thread"));
            }
        }
        if self.peers.stop().is_err() {
            self.life.fail(panicked("the thread for other brokers"));
        }
    }
}

fn options(broker: &Broker, shard: ShardId, shards: usize) -> Options {
    Options {
        shard,
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
        seed: Uuid::new_v4().as_u64_pair().0,
        identity: broker.identity.clone(),
        defaults: broker.config.topic.clone(),
        snapshot_entries: SNAPSHOT_ENTRIES,
    }
}

impl Broker {
    /// What the window shows of a broker whose shards are called by `handle`.
    fn inside(&self, handle: Handle) -> Inside {
        Inside {
            cluster: self.about.cluster.clone(),
            root: self.folder.root().to_owned(),
            views: Arc::clone(&self.views),
            handle,
            transport: Arc::clone(&self.transport),
            mailboxes: Arc::clone(&self.mailboxes),
            readers: self.readers.clone(),
        }
    }
}

fn panicked(what: &str) -> Fatal {
    Fatal::new("panic", what, io::Error::other("the log has the panic's message; this is a bug"))
}

impl<H: Health> Seat<H> {
    fn start(self) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let name = format!("shard-{}", self.id);
        std::thread::Builder::new().name(name).spawn(move || runtime.block_on(self.run()))
    }

    /// Serves until the broker stops and the shard is drained; after a failure it ends where it stands.
    async fn run(self) {
        let life = Arc::clone(&self.door.life);
        tokio::select! {
            () = life.reached(Phase::Failed) => {}
            () = self.serve() => {}
        }
    }

    async fn serve(self) {
        let (life, meter) = (Arc::clone(&self.door.life), Arc::clone(&self.door.meter));
        let machine = tokio::spawn(self.machine.run());
        let connections = match connections::accept(self.listener, self.connections, Arc::clone(&life), meter)
        {
            Ok(connections) => connections,
            Err(error) => return life.fail(Fatal::new("use", "the gRPC listener", error)),
        };
        let mut door = tokio::spawn(rpc::serve(self.door, connections, self.health));
        tokio::select! {
            ended = &mut door => match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return life.fail(Fatal::new("serve", "gRPC", io::Error::other(error))),
                Err(_) => return life.fail(panicked("the gRPC server")),
            },
            () = life.reached(Phase::Stopping) => {
                // A client that does not end its streams is cut off with the runtime.
                let _ = timeout(Duration::from_millis(limits::STOP_GRACE_MS), &mut door).await;
            }
        }
        // It cannot be closed before it has taken this.
        let _ = self.own.send(Call::Stop).await;
        if machine.await.is_err() {
            life.fail(panicked(&format!("shard {}", self.id)));
        }
    }
}
