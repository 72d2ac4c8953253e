//! A broker that starts makes sure that no other process has its identity: the two would vote twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Unformed;
use crate::limits::{PEER_CONNECT_MS, SEEDS_ASKED_AGAIN_MS, TWIN_ASKED_TIMES};
use crate::runtime::peers::{Directory, GreetError, Interview};

/// Asks the brokers at `addresses` whether another process with this one's identity lives. Who does not answer soon does
/// not know.
///
/// # Errors
/// `Twin`: one says so, again and again. The process before this one may be taken for alive for a moment.
pub(in crate::server) async fn no_twin_lives(
    directory: &Arc<Directory>,
    addresses: &BTreeSet<String>,
) -> Result<(), Unformed> {
    let mut asked = 0;
    while let Some(why) = witness(directory, addresses).await {
        asked += 1;
        if asked >= TWIN_ASKED_TIMES {
            return Err(Unformed::Twin { why });
        }
        sleep(Duration::from_millis(SEEDS_ASKED_AGAIN_MS)).await;
    }
    Ok(())
}

/// One who knows a twin that lives, and its words.
async fn witness(directory: &Arc<Directory>, addresses: &BTreeSet<String>) -> Option<String> {
    let mut asking = JoinSet::new();
    for address in addresses {
        let (directory, address) = (Arc::clone(directory), address.clone());
        asking.spawn(async move {
            let greeted = Interview::begin(&address, &directory);
            match timeout(Duration::from_millis(PEER_CONNECT_MS), greeted).await {
                Ok(Err(error @ GreetError::Twin { .. })) => Some(error.to_string()),
                _ => None,
            }
        });
    }
    while let Some(one) = asking.join_next().await {
        // One whose task died is one that says nothing.
        if let Ok(Some(why)) = one {
            return Some(why);
        }
    }
    None
}
