//! Progress on stderr, where a person watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::context::{Context, may_animate};

/// How often the line is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// A line that counts; it goes when this is dropped.
pub(crate) struct Progress(Option<(ProgressBar, JoinHandle<()>)>);

impl Progress {
    /// Shows `what` and the counter, unless nobody watches.
    pub(crate) fn start(context: &Context, what: &'static str, counter: Arc<AtomicU64>) -> Progress {
        if context.quiet || !may_animate() {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg}: {human_pos} records, {per_sec}, {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            loop {
                tick.tick().await;
                drawn.set_position(counter.load(Ordering::Relaxed));
            }
        });
        Progress(Some((bar, task)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((bar, task)) = &self.0 {
            task.abort();
            bar.finish_and_clear();
        }
    }
}
