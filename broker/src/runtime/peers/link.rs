//! One shard's connection to one broker for one class: a queue, and the task that carries it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use caudal_proto::peer::{Class, Envelope, Purpose};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::Transport;
use super::envelope::frame_bytes_max;
use super::event::Undelivered;
use super::frame;
use super::hello::{self, GreetError};
use super::liveness::Stream;
use crate::ids::{NodeId, ShardId};
use crate::limits;

/// Where a link leads.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Whose it is.
    pub(super) shard: ShardId,
    /// To whom.
    pub(super) to: NodeId,
    /// HOST:PORT of its peer listener.
    pub(super) address: String,
    /// What travels.
    pub(super) class: Class,
}

/// What the two ends of the queue know of it.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    connected: AtomicBool,
    bytes: AtomicUsize,
    envelopes: AtomicUsize,
}

impl Gauge {
    /// Whether there is a connection, and what waits for it: envelopes and their bytes.
    pub(super) fn read(&self) -> (bool, usize, usize) {
        let load = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        (self.connected.load(Ordering::Relaxed), load(&self.envelopes), load(&self.bytes))
    }

    fn queued(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.envelopes.fetch_add(1, Ordering::Relaxed);
    }

    fn gone(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.envelopes.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The shard's end. Dropped, it closes the connection; what waits is reported as dropped.
#[derive(Debug)]
pub(super) struct Link {
    class: Class,
    queue: mpsc::Sender<(Envelope, usize)>,
    gauge: Arc<Gauge>,
    _open: oneshot::Sender<()>,
}

impl Link {
    /// Begins to connect, in a task of the current runtime.
    pub(super) fn open(route: Route, transport: Arc<Transport>) -> Link {
        let (queue, waiting) = mpsc::channel(limits::PEER_QUEUE_ENVELOPES);
        let (open, closed) = oneshot::channel();
        let gauge = Arc::new(Gauge::default());
        let class = route.class;
        transport.queues.register(route.to, class, &gauge);
        let carrier = Carrier {
            route,
            transport,
            waiting,
            gauge: Arc::clone(&gauge),
            writing: None,
            buffer: BytesMut::new(),
        };
        tokio::spawn(carrier.run(closed));
        Link { class, queue, gauge, _open: open }
    }

    /// Puts an envelope of `bytes` in the queue.
    ///
    /// # Errors
    /// The envelope: there is no connection, or the queue is full.
    pub(super) fn push(&self, envelope: Envelope, bytes: usize) -> Result<(), Envelope> {
        let waiting = self.gauge.bytes.load(Ordering::Relaxed);
        let full = waiting > 0 && waiting + bytes > queue_bytes_max(self.class);
        if !self.gauge.connected.load(Ordering::Relaxed) || full || bytes > frame_bytes_max(self.class) {
            return Err(envelope);
        }
        // Before it can be taken out.
        self.gauge.queued(bytes);
        self.queue.try_send((envelope, bytes)).map_err(|refused| {
            self.gauge.gone(bytes);
            refused.into_inner().0
        })
    }
}

fn queue_bytes_max(class: Class) -> usize {
    match class {
        Class::Unspecified | Class::Control => limits::PEER_CONTROL_QUEUE_BYTES_MAX,
        Class::Appends | Class::Bulk => limits::PEER_QUEUE_BYTES_MAX,
    }
}

/// The task's end.
struct Carrier {
    route: Route,
    transport: Arc<Transport>,
    waiting: mpsc::Receiver<(Envelope, usize)>,
    gauge: Arc<Gauge>,
    /// Not written whole yet.
    writing: Option<(Envelope, usize)>,
    buffer: BytesMut,
}

impl Carrier {
    async fn run(mut self, closed: oneshot::Receiver<()>) {
        tokio::select! {
            _ = closed => {}
            () = self.carry_on() => {}
        }
        self.disconnected();
    }

    /// Connects, again and again.
    async fn carry_on(&mut self) {
        let (first, longest) = (*limits::PEER_BACKOFF_MS.start(), *limits::PEER_BACKOFF_MS.end());
        let mut pause = first;
        loop {
            if let Some((stream, lives)) = self.connect().await {
                let since = self.transport.now_ms();
                let end = self.carry(stream).await;
                self.disconnected();
                drop(lives);
                let Route { shard, to, class, .. } = &self.route;
                tracing::debug!(%shard, node = %to, class = class.as_str_name(), "a connection ended: {end}");
                if self.transport.now_ms() - since > longest {
                    pause = first;
                }
            }
            tokio::select! {
                () = sleep(jittered(pause)) => {}
                () = self.transport.liveness.comes_up(self.route.to) => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn connect(&self) -> Option<(TcpStream, Stream)> {
        let Route { to, address, class, .. } = &self.route;
        let (transport, directory) = (&self.transport, &self.transport.directory);
        if !directory.membership().nodes.contains_key(to) {
            return None;
        }
        let mine = hello::hello(directory, Purpose::Messages, *class);
        let (frames, theirs) = match hello::greet(address, &mine).await {
            Ok(answered) => answered,
            Err(error) => {
                if let GreetError::Connect { source, .. } = &error
                    && source.kind() == io::ErrorKind::ConnectionRefused
                {
                    transport.liveness.refused(*to);
                }
                transport.troubles.note(*to, error.to_string());
                return None;
            }
        };
        let entered = hello::check_answer(&theirs, *to, directory)
            .and_then(|boot| transport.liveness.enter(*to, boot, *class, address, transport.now_ms()));
        match entered {
            Ok(lives) => {
                if *class == Class::Control {
                    transport.troubles.over(*to);
                }
                Some((frames.into_inner(), lives))
            }
            Err(refusal) => {
                transport.troubles.note(*to, format!("{address} is of no use: {refusal}"));
                None
            }
        }
    }

    /// Writes what comes through the queue until the connection ends, and says why it did.
    async fn carry(&mut self, mut stream: TcpStream) -> io::Error {
        self.gauge.connected.store(true, Ordering::Relaxed);
        let (mut incoming, mut outgoing) = stream.split();
        let ended = async {
            match incoming.read_u8().await {
                Ok(_) => {
                    io::Error::new(io::ErrorKind::InvalidData, "the other end spoke, and it is to listen")
                }
                Err(error) => error,
            }
        };
        let (pulse, mut next_pulse) = match self.route.class {
            // The first one at once: the other broker hears that this one is up.
            Class::Control | Class::Unspecified => {
                (Duration::from_millis(limits::PEER_PULSE_MS), Duration::ZERO)
            }
            Class::Appends | Class::Bulk => (Duration::MAX, Duration::MAX),
        };
        let write = async {
            loop {
                let next = timeout(next_pulse, self.waiting.recv()).await;
                next_pulse = pulse;
                let written = match next {
                    Ok(Some(next)) => {
                        let (envelope, _) = self.writing.insert(next);
                        frame::write(&mut outgoing, envelope, &mut self.buffer).await
                    }
                    // The shard's end is gone, and with it this task in a moment.
                    Ok(None) => return io::ErrorKind::BrokenPipe.into(),
                    Err(_) => frame::write(&mut outgoing, &Envelope::default(), &mut self.buffer).await,
                };
                if let Err(error) = written {
                    return error;
                }
                if let Some((_, bytes)) = self.writing.take() {
                    self.gauge.gone(bytes);
                }
            }
        };
        tokio::select! {
            end = ended => end,
            end = write => end,
        }
    }

    /// Reports what did not leave.
    fn disconnected(&mut self) {
        self.gauge.connected.store(false, Ordering::Relaxed);
        let mut lost = Vec::new();
        while let Some((envelope, bytes)) = self.writing.take().or_else(|| self.waiting.try_recv().ok()) {
            self.gauge.gone(bytes);
            lost.extend(envelope.messages.iter().filter_map(Undelivered::of));
        }
        self.transport.report(self.route.shard, self.route.to, lost);
    }
}

/// Between half of `pause_ms` and all of it: the shards of a broker that was lost do not return at the same moment.
fn jittered(pause_ms: u64) -> Duration {
    let half = pause_ms / 2;
    // Without randomness everybody waits the whole time.
    let random = getrandom::u64().map_or(half, |random| random % (half + 1));
    Duration::from_millis(half + random)
}
