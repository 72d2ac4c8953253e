//! What a leader says of the entry before those that it sends, and what a follower makes of it.

use caudal_proto::peer;
use raft::eraftpb::{Message, MessageType};

use super::replica::Replica;
use super::wire::to_peer;
use crate::ids::{Index, Term};

impl Replica {
    /// A message as it travels; `None` for one that must not. An append says which chain value comes before its entries,
    /// where that is at hand: it is for followers that are in step, and for those that are fed from the disk.
    pub(super) fn outgoing(&self, message: Message) -> Option<peer::Message> {
        let is_append = message.get_msg_type() == MessageType::MsgAppend;
        let (index, term) = (Index(message.index), Term(message.log_term));
        let mut message = to_peer(self.partition(), message)?;
        message.prev = is_append.then(|| self.raw().store().chain(index, term)).flatten();
        Some(message)
    }

    /// Two logs that have an entry of one index and term have the same entries up to it. Where they do not, one of them
    /// is not what was agreed on, and nobody may build on it.
    ///
    /// # Errors
    /// They do not: for people.
    pub(super) fn compare(&self, message: &Message, prev: Option<u32>) -> Result<(), String> {
        let is_append = message.get_msg_type() == MessageType::MsgAppend;
        let Some(theirs) = prev.filter(|_| is_append && message.term >= self.raw().raft.term) else {
            return Ok(());
        };
        let (index, term) = (Index(message.index), Term(message.log_term));
        match self.raw().store().chain(index, term) {
            Some(ours) if ours != theirs => Err(format!(
                "the log differs from its leader's: entry {index} of term {term} has the chain value {ours:#010x} here and \
                 {theirs:#010x} at replica {}; replace this replica by another one",
                message.from
            )),
            _ => Ok(()),
        }
    }
}
