//! The HTTP listener and its thread: who connects asks once, and is answered or closed in time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::routes::Routes;
use super::shown::Shown;
use crate::limits;

/// A pause after `accept` failed, usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The thread of the HTTP listener.
#[derive(Debug)]
pub struct HttpThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl HttpThread {
    /// Starts it. `listener` must be non-blocking.
    ///
    /// # Errors
    /// The system gives no thread or no runtime.
    pub fn start(listener: std::net::TcpListener, shown: Arc<Shown>) -> io::Result<HttpThread> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let work = async move {
            tokio::select! {
                _ = stopped => {}
                ended = serve(listener, shown) => {
                    if let Err(error) = ended {
                        tracing::error!("the HTTP listener cannot be used: {error}");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(work);
            // A look at a disk that does not answer must not hold up the end of the process.
            runtime.shutdown_background();
        })?;
        Ok(HttpThread { stop, thread })
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
async fn serve(listener: std::net::TcpListener, shown: Arc<Shown>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let routes = Arc::new(Routes::new(shown));
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|one| !one.is_finished());
                if open.len() >= limits::HTTP_CONNECTIONS_MAX
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                let answered = tokio::spawn(answer(stream, Arc::clone(&routes)));
                open.push_back(answered.abort_handle());
            }
            Err(error) => {
                tracing::warn!("cannot accept an HTTP connection: {error}; trying again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, routes: Arc<Routes>) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, std::convert::Infallible>(routes.answer(request.method(), request.uri()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits::HTTP_HEAD_MS))
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .max_headers(limits::HTTP_HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(Duration::from_millis(limits::HTTP_CONNECTION_MS), connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("an HTTP connection ended: {error}"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
}
