//! What the window shows: as little as there is before the broker knows where it belongs, all of it from then on.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::runtime::clock::Clock;
use crate::runtime::handle::Handle;
use crate::runtime::life::{Life, Phase};
use crate::runtime::mailbox::Mailbox;
use crate::runtime::meters::Meters;
use crate::runtime::peers::Transport;
use crate::runtime::readers::Readers;
use crate::runtime::views::Views;

/// A broker, seen from the window.
pub struct Shown {
    /// Where it is in its life.
    pub life: Arc<Life>,
    /// What it counts.
    pub meters: Arc<Meters>,
    /// The time.
    pub clock: Clock,
    inside: OnceLock<Inside>,
}

/// What is there once its threads run.
pub struct Inside {
    /// The cluster's id.
    pub cluster: String,
    /// The data folder.
    pub root: PathBuf,
    /// What is published.
    pub views: Arc<Views>,
    /// Asks the shards.
    pub handle: Handle,
    /// The other brokers.
    pub transport: Arc<Transport>,
    /// What lies at the shards.
    pub mailboxes: Arc<[Mailbox]>,
    /// The reader pool.
    pub readers: Readers,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("life", &self.life).finish_non_exhaustive()
    }
}

impl Shown {
    /// A broker that has just begun.
    pub fn new(life: Arc<Life>, meters: Arc<Meters>, clock: Clock) -> Shown {
        Shown { life, meters, clock, inside: OnceLock::new() }
    }

    /// Its threads run.
    pub fn runs(&self, inside: Inside) {
        // A broker runs once.
        let _ = self.inside.set(inside);
    }

    /// What is there once its threads run.
    pub fn inside(&self) -> Option<&Inside> {
        self.inside.get()
    }

    /// Whether it shall be sent requests.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn readiness(&self) -> Result<(), String> {
        match self.life.phase() {
            Phase::Starting => Err(self.life.waits_for()),
            Phase::Stopping => Err("the broker is stopping: what was taken is being answered".to_owned()),
            Phase::Failed => {
                Err("a write or sync failed, and the broker ends: its log says which".to_owned())
            }
            Phase::Serving => match self.drained() {
                Some(why) => Err(why),
                None => Ok(()),
            },
        }
    }

    fn drained(&self) -> Option<String> {
        let views = &self.inside()?.views;
        let (node, catalog) = (views.node()?, views.catalog());
        let draining = catalog.member(node).is_some_and(|member| !member.takes_replicas());
        draining.then(|| {
            format!("node {node} is drained: it leads nothing until `caudal cluster undrain {node}`")
        })
    }
}
