//! Several brokers as processes of their own, that found one cluster or join it.

use std::io;
use std::net::TcpListener;
use std::path::Path;

use crate::broker_bin::Broker;

/// Brokers of one cluster. Dropping it kills them.
pub struct Cluster {
    /// The brokers, in the order in which they were started.
    pub brokers: Vec<Broker>,
    seeds: String,
}

/// A port that nobody listens on at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn settings(peer: &str, seeds: &str) -> Vec<String> {
    vec![format!("peer.listen={peer}"), format!("cluster.seeds={seeds}")]
}

impl Cluster {
    /// So many brokers with folders below `folder`; one alone has no seeds. Waits until all take requests.
    pub fn start(folder: &Path, count: usize) -> io::Result<Cluster> {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect::<io::Result<_>>()?;
        let peers: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let seeds = if count == 1 { String::new() } else { peers.join(",") };
        let brokers = start_all(folder, 0, &peers, &seeds)?;
        Ok(Cluster { brokers, seeds: peers.join(",") })
    }

    /// So many more, with empty folders, that join.
    pub fn join(&mut self, folder: &Path, count: usize) -> io::Result<()> {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect::<io::Result<_>>()?;
        let peers: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let more = start_all(folder, self.brokers.len(), &peers, &self.seeds)?;
        self.brokers.extend(more);
        Ok(())
    }

    /// The gRPC addresses of all, as `--brokers` takes them.
    pub fn addresses(&self) -> String {
        let addresses: Vec<&str> = self.brokers.iter().map(Broker::address).collect();
        addresses.join(",")
    }

    /// Asks all to stop in order, and waits.
    pub fn stop(self) -> io::Result<()> {
        for broker in &self.brokers {
            broker.terminate()?;
        }
        for mut broker in self.brokers {
            let status = broker.wait()?;
            if !status.success() {
                return Err(io::Error::other(format!(
                    "a broker ended with {status}; its log:\n{}",
                    broker.log()
                )));
            }
        }
        Ok(())
    }
}

/// Starts brokers side by side: the founders of a cluster wait for each other.
fn start_all(folder: &Path, first: usize, peers: &[String], seeds: &str) -> io::Result<Vec<Broker>> {
    std::thread::scope(|scope| {
        let starting: Vec<_> = peers
            .iter()
            .enumerate()
            .map(|(at, peer)| {
                let data = folder.join(format!("broker{}", first + at));
                scope.spawn(move || {
                    let settings = settings(peer, seeds);
                    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
                    Broker::start(&data, &settings)
                })
            })
            .collect();
        starting.into_iter().map(|start| start.join().expect("starting a broker does not panic")).collect()
    })
}
