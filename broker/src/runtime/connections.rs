//! Connections and their limits: how many, how long one may say nothing at first, how long one may take nothing.
//!
//! A connection that never speaks costs a descriptor and little memory until its handshake is overdue. One that takes
//! nothing of what is written to it is closed after [`limits::STALLED_CONNECTION_MS`], in two ways: the socket takes
//! no bytes (seen here), or the peer reads the socket and leaves a stream's flow-control window shut (seen by the
//! stream, which calls [`Closer::close`]).

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep};

use super::life::{Life, Phase};
use super::meters::ShardMeter;
use super::stalls::Outstanding;
use crate::limits;

/// The bytes an HTTP/2 client sends before anything else: the preface and the head of its settings.
const PREFACE_BYTES: usize = 24 + 9;

/// Accepted connections that the server has not taken over yet.
const ACCEPTED_WAITING: usize = 64;

/// A pause after `accept` failed, usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Closes one connection from elsewhere.
#[derive(Debug, Default)]
pub struct Closer {
    closed: AtomicBool,
    reading: Mutex<Option<Waker>>,
}

impl Closer {
    /// Closes the connection: its next read and write fail.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(waker) = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn register(&self, waker: &Waker) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        match reading.as_ref() {
            Some(known) if known.will_wake(waker) => {}
            _ => *reading = Some(waker.clone()),
        }
    }
}

/// One connection, counted and timed.
#[derive(Debug)]
pub struct Connection {
    io: TcpStream,
    peer: SocketAddr,
    closer: Arc<Closer>,
    outstanding: Arc<Outstanding>,
    /// Until the preface has come: how much has, and when it is overdue.
    handshake: Option<(usize, Pin<Box<Sleep>>)>,
    /// While the socket takes nothing: when that has lasted too long.
    stalled: Option<Pin<Box<Sleep>>>,
    meter: Arc<ShardMeter>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.meter.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What closes it from elsewhere.
    pub fn closer(&self) -> Arc<Closer> {
        Arc::clone(&self.closer)
    }

    /// What its responses have handed out.
    pub fn outstanding(&self) -> Arc<Outstanding> {
        Arc::clone(&self.outstanding)
    }

    fn new(
        io: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
        meter: &Arc<ShardMeter>,
    ) -> io::Result<Connection> {
        io.set_nodelay(true)?;
        meter.connections.fetch_add(1, Ordering::Relaxed);
        meter.accepted.fetch_add(1, Ordering::Relaxed);
        let overdue = Box::pin(sleep(Duration::from_millis(limits::HANDSHAKE_MS)));
        Ok(Connection {
            io,
            peer,
            closer: Arc::default(),
            outstanding: Arc::default(),
            handshake: Some((0, overdue)),
            stalled: None,
            meter: Arc::clone(meter),
            _permit: permit,
        })
    }

    /// Waits for its first byte; `false` when it ends before, or its handshake is overdue.
    async fn spoke(&mut self) -> bool {
        let Some((_, overdue)) = &mut self.handshake else { return true };
        let mut first = [0; 1];
        tokio::select! {
            // Readiness alone can be a false alarm.
            peeked = self.io.peek(&mut first) => peeked.is_ok_and(|bytes| bytes > 0),
            () = overdue.as_mut() => false,
        }
    }

    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(limits::STALLED_CONNECTION_MS))));
        if stalled.as_mut().poll(cx).is_ready() {
            self.meter.stuck.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")));
        }
        Poll::Pending
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.closer.register(cx.waker());
        if this.closer.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        if let Some((received, overdue)) = &mut this.handshake {
            *received += buf.filled().len() - before;
            if *received >= PREFACE_BYTES {
                this.handshake = None;
            } else if result.is_pending() && overdue.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no HTTP/2 preface in time",
                )));
            }
        }
        result
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Accepts connections of one shard from when the broker serves until it stops, `max` at a time; others wait in the
/// kernel.
///
/// # Errors
/// The listener cannot be used.
pub fn accept(
    listener: std::net::TcpListener,
    max: usize,
    life: Arc<Life>,
    meter: Arc<ShardMeter>,
) -> io::Result<mpsc::Receiver<io::Result<Connection>>> {
    let listener = TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(max));
    let (accepted, connections) = mpsc::channel(ACCEPTED_WAITING);
    tokio::spawn(async move {
        life.reached(Phase::Serving).await;
        tokio::select! {
            () = life.reached(Phase::Stopping) => {}
            () = accept_all(&listener, &room, &accepted, &meter) => {}
        }
    });
    Ok(connections)
}

async fn accept_all(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    accepted: &mpsc::Sender<io::Result<Connection>>,
    meter: &Arc<ShardMeter>,
) {
    loop {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((io, peer)) => match Connection::new(io, peer, permit, meter) {
                Ok(connection) => drop(tokio::spawn(hand_over(connection, accepted.clone()))),
                Err(error) => tracing::debug!(%peer, "a connection ended while it was accepted: {error}"),
            },
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Hands a connection to the server when it has said something. Until then it costs a small task and none of the
/// server's buffers, which are ten times as large; it counts as a connection all the same.
async fn hand_over(mut connection: Connection, accepted: mpsc::Sender<io::Result<Connection>>) {
    tokio::select! {
        spoke = connection.spoke() => {
            if spoke {
                // A server that has ended takes no more.
                let _ = accepted.send(Ok(connection)).await;
            }
        }
        () = accepted.closed() => {}
    }
}
