//! Asks the seeds until they have said where this broker belongs.

use std::collections::BTreeMap;
use std::time::Duration;

use caudal_proto::peer::{Answer, Join, Joined, Question, Who, answer, question};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Decision, Heard, Search};
use crate::ids::{NodeId, ReplicaId};
use crate::limits::{SEEDS_ASKED_AGAIN_MS, SEEDS_TOLD_AGAIN};
use crate::log::Home;
use crate::runtime::life::Life;
use crate::runtime::peers::{Directory, Interview};

/// Why a broker cannot be one of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum Unformed {
    /// The cluster does not take it in.
    #[error("the cluster does not take this broker in: {why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// Another process has this one's identity: two with one vote.
    #[error("this broker cannot start: {why}")]
    Twin {
        /// Who says so, and its words.
        why: String,
    },
}

/// A broker that looks for its cluster.
pub(in crate::server) struct Seeker {
    pub(in crate::server) directory: std::sync::Arc<Directory>,
    pub(in crate::server) seeds: Vec<String>,
    /// What it says of itself.
    pub(in crate::server) join: Join,
    /// Where it says what it waits for.
    pub(in crate::server) life: std::sync::Arc<Life>,
}

impl Seeker {
    /// Where it belongs. Waits as long as that takes, and says what for.
    ///
    /// # Errors
    /// See [`Unformed`].
    pub(in crate::server) async fn find(&self) -> Result<Home, Unformed> {
        let mut search = Search::new(self.directory.me().uuid);
        let (mut told, mut asked) = (Vec::new(), 0u32);
        loop {
            let missing = match search.hear(&self.ask_all().await) {
                Decision::Found(home) => return Ok(home),
                Decision::Confirm => continue,
                Decision::Join(seed) => match self.join_through(seed).await? {
                    Ok(home) => return Ok(home),
                    Err(why) => vec![why],
                },
                Decision::Wait(missing) => missing,
            };
            if missing != told || asked % SEEDS_TOLD_AGAIN == 0 {
                tracing::info!(missing = missing.join("; "), "waiting for the cluster");
                self.life.wait_for(format!("waiting for the cluster: {}", missing.join("; ")));
                told = missing;
            }
            asked += 1;
            sleep(Duration::from_millis(SEEDS_ASKED_AGAIN_MS)).await;
        }
    }

    /// Asks every seed at once.
    async fn ask_all(&self) -> BTreeMap<String, Heard> {
        let mut asking = JoinSet::new();
        for seed in self.seeds.clone() {
            let (directory, seeds) = (std::sync::Arc::clone(&self.directory), self.seeds.clone());
            asking.spawn(async move {
                let who = question::Kind::Who(Who { seeds });
                let heard = match ask(&seed, &directory, who).await {
                    Ok(answer::Kind::Me(me)) => Heard::Said(me),
                    Ok(answer::Kind::Refused(refused)) => Heard::Silence(refused.why),
                    Ok(answer::Kind::Joined(_)) => Heard::Silence("it answers another question".to_owned()),
                    Err(why) => Heard::Silence(why),
                };
                (seed, heard)
            });
        }
        let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
        while let Some(one) = asking.join_next().await {
            heard.extend(one);
        }
        // One whose task died is one that says nothing.
        for seed in &self.seeds {
            heard.entry(seed.clone()).or_insert(Heard::Silence("no answer".to_owned()));
        }
        heard
    }

    /// Asks to be taken in, and those to whom it is sent on.
    async fn join_through(&self, seed: String) -> Result<Result<Home, String>, Unformed> {
        let mut address = seed;
        for _ in 0..3 {
            match ask(&address, &self.directory, question::Kind::Join(self.join.clone())).await {
                Ok(answer::Kind::Joined(joined)) => {
                    return Ok(home_of(joined).ok_or(format!("{address} gives no place in its cluster")));
                }
                Ok(answer::Kind::Refused(refused)) if !refused.retry => {
                    return Err(Unformed::Refused { why: refused.why });
                }
                Ok(answer::Kind::Refused(refused)) if !refused.ask.is_empty() && refused.ask != address => {
                    address = refused.ask;
                }
                Ok(answer::Kind::Refused(refused)) => return Ok(Err(format!("{address}: {}", refused.why))),
                Ok(answer::Kind::Me(_)) => return Ok(Err(format!("{address} answers another question"))),
                Err(why) => return Ok(Err(format!("{address}: {why}"))),
            }
        }
        Ok(Err("the brokers send each other on: the cluster has no leader yet".to_owned()))
    }
}

async fn ask(seed: &str, directory: &Directory, kind: question::Kind) -> Result<answer::Kind, String> {
    let mut interview = Interview::begin(seed, directory).await.map_err(|error| error.to_string())?;
    let answer = interview.ask(&Question { kind: Some(kind) }).await;
    let Answer { kind } = answer.map_err(|error| error.to_string())?;
    kind.ok_or("an answer that is not known here: install the same release on both brokers".to_owned())
}

fn home_of(joined: Joined) -> Option<Home> {
    let contacts = joined.contacts.into_iter();
    Some(Home {
        cluster_id: Uuid::from_slice(&joined.cluster_id).ok()?,
        node_id: Some(NodeId(joined.node_id)).filter(|node| node.0 > 0)?,
        control: Some(ReplicaId(joined.control_replica)).filter(|replica| replica.0 > 0)?,
        founders: Vec::new(),
        contacts: contacts.map(|contact| (NodeId(contact.node_id), contact.peer_address)).collect(),
    })
}
