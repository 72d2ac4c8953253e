//! SIGTERM and SIGINT: the first asks the broker to stop, the second ends the process.

use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::failure::{Code, Failure};
use crate::threads;

/// Hears signals from now on, also while logs are being recovered. The future is done at the first one.
pub(super) fn listen() -> Result<impl Future<Output = ()> + use<>, Failure> {
    let runtime = threads::runtime()?;
    let failed = |error| Failure::io("hearing signals", error);
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?)
    };
    let (stop, stopped) = oneshot::channel();
    let hear = move || {
        runtime.block_on(async {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("a signal came: the broker stops in order; a second one stops it at once");
            let _ = stop.send(());
            either(&mut terminate, &mut interrupt).await;
            tracing::warn!("a second signal came: the broker stops at once");
            std::process::exit(Code::Interrupted as i32);
        });
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(hear)
        .map_err(|error| Failure::io("starting a thread", error))?;
    Ok(async move {
        // The sender lives as long as the process.
        drop(stopped.await);
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
