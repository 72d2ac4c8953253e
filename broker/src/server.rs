//! A broker from its configuration to its end: opens the folder, recovers the logs, starts the threads, serves, stops.
//!
//! ```text
//!   folder locked ─▶ ports bound ─▶ meta log ─▶ every log recovered ─▶ threads ─▶ control partition leads, all opened
//!                                                                                          │ ready
//!   exit ◀─ last marks synced ◀─ shards drained ◀─ streams ended ◀─ no new connections ◀───┘ asked to stop
//! ```

mod formation;
mod peers;
mod recovery;
mod shards;
mod window;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use uuid::Uuid;

use crate::config::Config;
use crate::ids::PartitionId;
use crate::log::{DiskFs, Fatal, Folder, FolderError, Fs, Home, MetaLog, meta};
use crate::node::Identity;
use crate::rpc::{About, SERVICES};
use crate::runtime::clock::Clock;
use crate::runtime::life::{Life, Phase};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::meters::Meters;
use crate::runtime::peers::{PeerThread, Questions, Transport};
use crate::runtime::readers::Readers;
use crate::runtime::views::Views;
use crate::runtime::{listener, open_files};
use crate::state::PartitionPlacement;
use formation::{Seeker, Unformed};
use peers::Desk;
use shards::Shards;
use window::Window;

/// What a broker that accepts requests says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// HOST:PORT of the gRPC listener, with the real port.
    pub grpc: String,
    /// The peer listener, with the real port.
    pub peer: String,
    /// The HTTP listener, with the real port.
    pub http: String,
    /// The broker's number in its cluster.
    pub node: i32,
    /// The cluster's id.
    pub cluster: String,
}

/// Why a broker did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A listener cannot be bound.
    #[error("cannot listen on {address} ({key}): {source}")]
    Bind {
        /// The key that says where.
        key: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said; `AddrInUse` when another process listens there.
        source: io::Error,
    },
    /// The meta log cannot be read: without it nothing on the disk can be believed.
    #[error(transparent)]
    Meta(#[from] meta::Error),
    /// The system gives no thread, or no runtime for it.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The cluster does not want this broker.
    #[error(transparent)]
    Unformed(#[from] Unformed),
    /// A write or sync failed, or an invariant did not hold.
    #[error(transparent)]
    Disk(Fatal),
}

/// Runs a broker until `shutdown` is done and everything taken is answered and on disk.
///
/// `on_ready` is called once, when it accepts requests. Blocks the calling thread.
///
/// # Errors
/// It cannot start, or a write or sync failed: then nothing more was acknowledged, and the next start reads the disk.
pub fn run(
    config: Config,
    shutdown: impl Future<Output = ()>,
    on_ready: impl FnOnce(Ready),
) -> Result<(), ServeError> {
    let files = open_files::raise();
    let mut folder = Folder::open(&config.data_dir, Uuid::new_v4())?;
    let mut shutdown = std::pin::pin!(shutdown);
    let shards = shard_count(&config);
    let bind = |key, address| move |source| ServeError::Bind { key, address, source };
    let (grpc, grpc_listeners) =
        listener::listen(config.grpc_listen, shards).map_err(bind("grpc.listen", config.grpc_listen))?;
    let (peer, peer_listener) =
        listener::listen_alone(config.peer_listen).map_err(bind("peer.listen", config.peer_listen))?;
    let waiting =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
    let clock = Clock::start();
    let window = Window::open(config.http_listen, shards, clock)?;
    let mailboxes: Arc<[Mailbox]> = (0..shards).map(|_| Mailbox::default()).collect();
    let uuid = folder.identity().node_uuid;
    let transport = peers::transport(&config, uuid, peer, Arc::clone(&mailboxes), clock);
    let desk = Arc::new(Desk::new(transport.directory(), &config.cluster_seeds));
    let others =
        PeerThread::start(peer_listener, Arc::clone(&transport), Arc::clone(&desk) as Arc<dyn Questions>)
            .map_err(ServeError::Thread)?;
    let address = config.grpc_address(grpc);
    let formed = waiting.block_on(async {
        tokio::select! {
            home = find_home(&config, &folder, &transport, &address, &window.life) => home.map(Some),
            () = &mut shutdown => Ok(None),
        }
    });
    let home = match formed {
        Ok(Some(home)) => home,
        unformed => {
            // Nobody is told any more that this broker waits; a panic there was logged.
            let _ = others.stop();
            return unformed.map(|_| ()).map_err(ServeError::from);
        }
    };
    folder.settle(&home)?;
    desk.settled(&home);
    transport.set_membership(peers::membership(&home, transport.directory().me()));
    window.life.wait_for("logs are being recovered".to_owned());
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let meta = MetaLog::open(Arc::clone(&fs), folder.root())?;
    let recovered = recovery::open_logs(&fs, folder.root(), &meta, shards).map_err(ServeError::Thread)?;
    let broker = Broker {
        about: Arc::new(About { cluster: home.cluster_id.to_string(), address: address.clone() }),
        identity: peers::identity(&home, transport.directory().me(), address, config.node_rack.clone()),
        life: Arc::clone(&window.life),
        meters: Arc::clone(&window.meters),
        views: Arc::new(Views::new(shards)),
        readers: Readers::start().map_err(ServeError::Thread)?,
        clock,
        transport,
        desk,
        mailboxes,
        connections: open_files::connections(files, shards),
        config,
        folder,
        fs,
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    waiting.block_on(set_health(&health, ServingStatus::NotServing));
    let listeners = (grpc_listeners, others);
    let threads = Shards::start(&broker, meta, recovered, listeners, &health_service, &window.shown)?;
    waiting.block_on(broker.serve((grpc, peer, window.address), &health, &mut shutdown, on_ready));
    threads.join();
    window.close();
    if let Some(fatal) = broker.life.take_failure() {
        return Err(ServeError::Disk(fatal));
    }
    tracing::info!("stopped");
    Ok(())
}

/// Where this broker belongs: as its folder says, or the seeds; without seeds it is a cluster alone. Not before it is
/// sure to be the only one with its identity.
async fn find_home(
    config: &Config,
    folder: &Folder,
    transport: &Transport,
    grpc_address: &str,
    life: &Arc<Life>,
) -> Result<Home, Unformed> {
    let directory = transport.directory();
    let me = directory.me();
    let home = folder.identity().home.as_ref();
    if let Some(home) = home {
        transport.set_membership(peers::membership(home, me));
    }
    formation::no_twin_lives(directory, &peers::elsewhere(config, home, me)).await?;
    if let Some(home) = home {
        return Ok(home.clone());
    }
    if config.cluster_seeds.is_empty() {
        return Ok(formation::alone(me.uuid, me.peer_address.clone()));
    }
    let join = peers::introduction(me, grpc_address.to_owned(), config.node_rack.as_deref());
    let (directory, seeds) = (Arc::clone(directory), config.cluster_seeds.clone());
    Seeker { directory, seeds, join, life: Arc::clone(life) }.find().await
}

fn shard_count(config: &Config) -> u32 {
    let cores =
        || std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    if config.shards == 0 { cores() } else { config.shards }
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, status).await;
    }
}

/// What the threads of a broker share.
struct Broker {
    config: Config,
    folder: Folder,
    fs: Arc<dyn Fs>,
    about: Arc<About>,
    life: Arc<Life>,
    meters: Arc<Meters>,
    views: Arc<Views>,
    readers: Readers,
    clock: Clock,
    mailboxes: Arc<[Mailbox]>,
    transport: Arc<Transport>,
    desk: Arc<Desk>,
    identity: Identity,
    /// Connections of one shard at a time.
    connections: usize,
}

impl Broker {
    /// Until the broker is to stop: by `shutdown`, or by a failure.
    async fn serve(
        &self,
        (grpc, peer, http): (SocketAddr, SocketAddr, SocketAddr),
        health: &HealthReporter,
        shutdown: impl Future<Output = ()>,
        on_ready: impl FnOnce(Ready),
    ) {
        tokio::pin!(shutdown);
        self.life.wait_for("partitions are being opened".to_owned());
        let ready = tokio::select! {
            () = &mut shutdown => false,
            () = self.life.reached(Phase::Stopping) => false,
            () = self.opened() => true,
        };
        if ready {
            set_health(health, ServingStatus::Serving).await;
            self.life.serve();
            let node = self.views.node().map_or(0, |node| node.0);
            let cluster = self.about.cluster.clone();
            tracing::info!(%grpc, %peer, %http, node, %cluster, shards = self.views.shards, "ready");
            let (grpc, peer, http) = (grpc.to_string(), peer.to_string(), http.to_string());
            on_ready(Ready { grpc, peer, http, node, cluster });
            tokio::select! {
                () = shutdown => {}
                () = self.life.reached(Phase::Stopping) => {}
            }
        }
        set_health(health, ServingStatus::NotServing).await;
        tracing::info!("stopping");
        self.life.stop();
    }

    /// Waits until the control partition leads and every partition that lives here is open, or said why it is not.
    async fn opened(&self) {
        let mut changes = self.views.changes();
        while !self.is_open() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_open(&self) -> bool {
        let Some(node) = self.views.node() else { return false };
        let catalog = self.views.catalog();
        // The catalog that names this broker is the one that has all its partitions.
        let known = catalog.member(node).is_some_and(|member| !member.address.is_empty());
        let here = |placement: &PartitionPlacement| placement.replicas.iter().any(|(home, _)| *home == node);
        known
            && self.is_served(PartitionId::CONTROL, false)
            && catalog
                .topics()
                .flat_map(|topic| topic.placements())
                .filter(|(_, placement)| here(placement))
                .all(|(id, placement)| self.is_served(id, placement.replicas.len() == 1))
    }

    /// Whether a partition that lives here has a leader, or is open where other brokers must be there for one; or said
    /// why it is not.
    fn is_served(&self, id: PartitionId, alone: bool) -> bool {
        self.views.partition(id).is_some_and(|view| {
            let standing = view.standing();
            let led = standing.ready || (standing.leader.is_some() && !alone);
            let open = id != PartitionId::CONTROL && !alone && view.reader().is_some();
            led || open || standing.closed.is_some()
        })
    }
}
