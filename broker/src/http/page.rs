//! The page of metrics: everything is read once, then written down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::families as f;
use super::shown::{Inside, Shown};
use super::writer::Writer;
use crate::ids::ShardId;
use crate::limits::HTTP_WAIT_MS;
use crate::node::Census;
use crate::runtime::process::{self, DiskReading};

mod budgets;
mod cluster;
mod partitions;
mod requests;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Everything.
    Partitions,
    /// Nothing of single partitions: a broker may have ten thousand.
    Topics,
}

/// What was asked for before the page is written.
struct Asked {
    shown: Arc<Shown>,
    detail: Detail,
    /// Of the shards that answered.
    censuses: Vec<Census>,
    disk: Option<DiskReading>,
}

/// The page. What does not answer in time is left out of it.
pub async fn make(shown: &Arc<Shown>, detail: Detail) -> String {
    let wait = Duration::from_millis(HTTP_WAIT_MS);
    let (mut censuses, mut disk) = (Vec::new(), None);
    if let Some(inside) = shown.inside() {
        // All at once: one that is stuck costs the wait once, and hides no other.
        let mut asking: JoinSet<_> = (0..inside.handle.shards())
            .map(|number| {
                let handle = inside.handle.clone();
                async move { timeout(wait, handle.census(ShardId(number))).await.ok().flatten() }
            })
            .collect();
        while let Some(told) = asking.join_next().await {
            censuses.extend(told.ok().flatten());
        }
        let root = inside.root.clone();
        let looked = tokio::task::spawn_blocking(move || process::disk(&root));
        disk = timeout(wait, looked).await.ok().and_then(|looked| looked.ok().flatten());
    }
    let asked = Asked { shown: Arc::clone(shown), detail, censuses, disk };
    // Ten thousand partitions take a while: others are answered meanwhile.
    let written = tokio::task::spawn_blocking(move || write(asked)).await;
    written.unwrap_or_else(|error| {
        tracing::error!("the page of metrics could not be made: {error}");
        String::new()
    })
}

fn write(asked: Asked) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(asked));
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut page, &registry);
    page
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("detail", &self.detail).finish_non_exhaustive()
    }
}

impl Collector for Asked {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        self.process(&mut writer)?;
        requests::write(&self.shown.meters, &mut writer)?;
        if let Some(inside) = self.shown.inside() {
            partitions::traffic(inside, &mut writer)?;
            cluster::write(inside, &self.censuses, &mut writer)?;
            budgets::write(inside, &self.shown.meters, &self.censuses, &mut writer)?;
            partitions::write(inside, &self.censuses, self.detail, &mut writer)?;
        }
        Ok(())
    }
}

impl Asked {
    fn process(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.family(&f::BUILD, |samples| samples.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0))?;
        let inside: Option<&Inside> = self.shown.inside();
        writer.family(&f::BROKER, |samples| {
            let Some(inside) = inside else { return Ok(()) };
            let Some(node) = inside.views.node() else { return Ok(()) };
            samples.add(&[("cluster", &*inside.cluster), ("node", &node.to_string())], 1.0)
        })?;
        writer.one(&f::UPTIME, self.shown.clock.micros() as f64 / 1e6)?;
        writer.one(&f::READY, f64::from(u8::from(self.shown.readiness().is_ok())))?;
        let process = process::read();
        writer.perhaps(&f::CPU, process.map(|process| process.cpu_seconds))?;
        writer.perhaps(&f::RESIDENT, process.map(|process| process.resident_bytes as f64))?;
        writer.perhaps(&f::ANONYMOUS, process.map(|process| process.anonymous_bytes as f64))?;
        writer.perhaps(&f::OPEN_FILES, process.map(|process| process.open_files as f64))?;
        writer.perhaps(&f::THREADS, process.map(|process| process.threads as f64))?;
        writer.perhaps(&f::DISK_SIZE, self.disk.map(|disk| disk.size_bytes as f64))?;
        writer.perhaps(&f::DISK_FREE, self.disk.map(|disk| disk.free_bytes as f64))
    }
}

/// A sum of each budget, counter or state by its label.
type Sums = BTreeMap<&'static str, f64>;

/// Samples with one label.
fn labelled(writer: &mut Writer<'_>, family: &f::Family, label: &str, sums: &Sums) -> fmt::Result {
    writer.family(family, |samples| {
        sums.iter().try_for_each(|(value, sum)| samples.add(&[(label, *value)], *sum))
    })
}
