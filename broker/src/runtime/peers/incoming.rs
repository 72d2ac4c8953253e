//! The peer listener: who connects says hello, gets an answer, and is read.
//!
//! One thread of its own does this for the whole broker, and looks for silent brokers. A shard that waits for its disk
//! must not make other brokers look silent, and a snapshot that is decoded must not hold a shard. It costs a wake-up
//! between threads for each envelope, which holds all that another shard had to say in one pass.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use caudal_proto::peer::{Class, Hello, HelloAnswer, Purpose};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Transport;
use super::directory::Contact;
use super::frame::{self, Frames};
use super::hello::{self, Guest, HelloRefusal};
use super::questions::{self, Questions};
use super::reading::{self, Sender};
use super::socket;
use crate::ids::NodeId;
use crate::limits;

/// A pause after `accept` failed, usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The thread of the peer listener. It ends with the broker's shards, which need their peers until they are drained.
#[derive(Debug)]
pub struct PeerThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl PeerThread {
    /// Starts it. `listener` must be non-blocking.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn start(
        listener: std::net::TcpListener,
        transport: Arc<Transport>,
        questions: Arc<dyn Questions>,
    ) -> io::Result<PeerThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let work = async move {
            tokio::select! {
                _ = stopped => {}
                ended = serve(listener, transport, questions) => {
                    if let Err(error) = ended {
                        tracing::error!("the peer listener cannot be used: {error}");
                    }
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("peers".to_owned()).spawn(move || runtime.block_on(work))?;
        Ok(PeerThread { stop, thread })
    }

    /// Closes all connections and ends the thread.
    ///
    /// # Errors
    /// It panicked.
    pub fn stop(self) -> std::thread::Result<()> {
        // One that has ended needs no telling.
        let _ = self.stop.send(());
        self.thread.join()
    }
}

/// Serves until it is dropped.
///
/// # Errors
/// The listener cannot be used.
async fn serve(
    listener: std::net::TcpListener,
    transport: Arc<Transport>,
    questions: Arc<dyn Questions>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let porch = Arc::new(Porch {
        members: Arc::new(Semaphore::new(limits::PEER_CONNECTIONS_MAX)),
        questioners: Arc::new(Semaphore::new(limits::PEER_QUESTIONERS_MAX)),
        transport: Arc::clone(&transport),
        questions,
    });
    tokio::select! {
        () = accept_all(&listener, &porch) => {}
        () = listen_for_silence(&transport) => {}
    }
    Ok(())
}

async fn listen_for_silence(transport: &Transport) {
    let mut check = interval(Duration::from_millis(limits::PEER_CHECK_MS));
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        check.tick().await;
        transport.liveness.check(transport.now_ms());
    }
}

async fn accept_all(listener: &TcpListener, porch: &Arc<Porch>) {
    let mut greeted: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                greeted.retain(|one| !one.is_finished());
                if greeted.len() >= limits::PEER_HANDSHAKES_MAX
                    && let Some(oldest) = greeted.pop_front()
                {
                    oldest.abort();
                }
                let porch = Arc::clone(porch);
                greeted.push_back(tokio::spawn(porch.welcome(stream, from)).abort_handle());
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection from a broker: {error}; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Where connections are until it is known who they are.
struct Porch {
    transport: Arc<Transport>,
    questions: Arc<dyn Questions>,
    members: Arc<Semaphore>,
    questioners: Arc<Semaphore>,
}

/// What comes after the hello.
enum Admitted {
    Sender(Sender, OwnedSemaphorePermit),
    Questioner(OwnedSemaphorePermit),
}

impl Porch {
    /// Hears the hello and answers it. What follows is a task of its own, so that this one is short.
    async fn welcome(self: Arc<Self>, stream: TcpStream, from: SocketAddr) {
        if let Err(error) = socket::prepare(&stream) {
            return tracing::debug!(%from, "a connection ended while it was accepted: {error}");
        }
        let mut frames = frame::frames(stream, limits::PEER_HELLO_BYTES_MAX);
        let hello = match hello::read(&mut frames).await {
            Ok(hello) => hello,
            Err(error) => return tracing::debug!(%from, "no hello: {error}"),
        };
        let admitted = self.admit(&hello);
        let refusal = admitted.as_ref().err();
        if let Err(error) = self.reply(&mut frames, &hello, refusal).await {
            return tracing::debug!(%from, "the hello cannot be answered: {error}");
        }
        match admitted {
            Ok(Admitted::Sender(sender, permit)) => {
                let transport = Arc::clone(&self.transport);
                tokio::spawn(async move {
                    reading::read(frames, sender, transport).await;
                    drop(permit);
                });
            }
            Ok(Admitted::Questioner(permit)) => {
                let questions = Arc::clone(&self.questions);
                tokio::spawn(async move {
                    questions::answer_all(frames, questions).await;
                    drop(permit);
                });
            }
            Err(refusal @ HelloRefusal::Twin { .. }) => {
                let text = format!("a connection from {from} is refused: {refusal}");
                self.transport.troubles.note(NodeId(hello.node_id), text);
            }
            Err(refusal) => tracing::debug!(%from, "a connection is refused: {refusal}"),
        }
    }

    fn admit(&self, hello: &Hello) -> Result<Admitted, HelloRefusal> {
        let transport = &self.transport;
        match hello::check(hello, &transport.directory)? {
            Guest::Questioner { member } => {
                if let Some((node, boot)) = member {
                    transport.liveness.check_twin(node, boot, transport.now_ms())?;
                }
                let permit = room(&self.questioners, limits::PEER_QUESTIONERS_MAX)?;
                Ok(Admitted::Questioner(permit))
            }
            Guest::Member { node, uuid, boot, class, introduces_itself } => {
                let permit = room(&self.members, limits::PEER_CONNECTIONS_MAX)?;
                let now = transport.now_ms();
                let contact = Contact { uuid: Some(uuid), address: hello.peer_address.clone() };
                if introduces_itself && !transport.introduce(node, contact) {
                    return Err(HelloRefusal::UnknownNode { node });
                }
                let lives = transport.liveness.enter(node, boot, class, &hello.peer_address, now)?;
                Ok(Admitted::Sender(Sender { node, uuid, boot, class, lives }, permit))
            }
        }
    }

    async fn reply(
        &self,
        frames: &mut Frames,
        hello: &Hello,
        refusal: Option<&HelloRefusal>,
    ) -> io::Result<()> {
        let mine = hello::hello(&self.transport.directory, Purpose::Unspecified, Class::Unspecified);
        let refused = refusal.map(ToString::to_string).unwrap_or_default();
        let twin = matches!(refusal, Some(HelloRefusal::Twin { .. }));
        let answer = HelloAnswer { hello: Some(Hello { purpose: hello.purpose, ..mine }), refused, twin };
        let wait = Duration::from_millis(limits::PEER_HELLO_MS);
        timeout(wait, frame::write(frames.get_mut(), &answer, &mut BytesMut::new()))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn room(of: &Arc<Semaphore>, max: usize) -> Result<OwnedSemaphorePermit, HelloRefusal> {
    Arc::clone(of).try_acquire_owned().map_err(|_| HelloRefusal::Full { max })
}
