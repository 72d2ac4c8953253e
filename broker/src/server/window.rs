//! The HTTP window of a broker: opened before anything that can take long, closed last.

use std::net::SocketAddr;
use std::sync::Arc;

use super::ServeError;
use crate::http::{HttpThread, Shown};
use crate::rpc;
use crate::runtime::clock::Clock;
use crate::runtime::life::Life;
use crate::runtime::listener;
use crate::runtime::meters::Meters;

/// The window, and what it shows from the first moment on.
pub(super) struct Window {
    pub(super) life: Arc<Life>,
    pub(super) meters: Arc<Meters>,
    pub(super) shown: Arc<Shown>,
    /// Where it is, with the real port.
    pub(super) address: SocketAddr,
    thread: HttpThread,
}

impl Window {
    /// Opens it for a broker of so many shards that has just begun.
    ///
    /// # Errors
    /// The address is taken, or the system gives no thread.
    pub(super) fn open(listen: SocketAddr, shards: u32, clock: Clock) -> Result<Window, ServeError> {
        let bind = |source| ServeError::Bind { key: "http.listen", address: listen, source };
        let (address, listener) = listener::listen_alone(listen).map_err(bind)?;
        let life = Arc::<Life>::default();
        let meters = Arc::new(Meters::new(shards, rpc::METHODS));
        let shown = Arc::new(Shown::new(Arc::clone(&life), Arc::clone(&meters), clock));
        let thread = HttpThread::start(listener, Arc::clone(&shown)).map_err(ServeError::Thread)?;
        Ok(Window { life, meters, shown, address, thread })
    }

    /// Closes it.
    pub(super) fn close(self) {
        if self.thread.stop().is_err() {
            tracing::error!("the HTTP thread panicked; this is a bug");
        }
    }
}
