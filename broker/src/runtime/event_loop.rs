//! A shard's loop: gathers what has come, lets the machine handle it, hands out what follows.
//!
//! ```text
//!   rpc tasks ──▶ inbox ─┐                       ┌─▶ tickets ──▶ who waits
//!   other shards ─▶ mail ─┼─▶ Shard ─▶ effects ──┼─▶ views ────▶ readers, wake-ups
//!   disk thread ─▶ done ──┤                       └─▶ mail of other shards
//!   100 ms ──────▶ tick ──┘         └─▶ round ──▶ disk thread
//! ```
//!
//! The loop is a task of the shard's own runtime, not its root: a task of the same thread is woken without a system
//! call. Tasks that have become ready together all queue their batches before the loop runs: one pass, one write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caudal_proto::peer::PartitionStatus;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::clock::Clock;
use super::disk::Rounds;
use super::elections::Elections;
use super::handle::Call;
use super::life::Life;
use super::mailbox::{Mail, Mailbox};
use super::meters::ShardMeter;
use super::partition_view::PartitionView;
use super::peers::{Contact, PeerEvent, Peers, Transport, Undelivered};
use super::readers::Readers;
use super::shard::{Effect, LogRead, Shard, ShardInput};
use super::tickets::Tickets;
use super::views::Views;
use crate::ids::{NodeId, PartitionId, ShardId};
use crate::limits;
use crate::log::{Fatal, RoundDone};
use crate::node::{Acks, Input, Now, Published};
use crate::state::{Catalog, TopicConfig};

/// What a loop works with.
pub struct Parts {
    /// The machine.
    pub shard: Shard,
    /// Its number.
    pub id: ShardId,
    /// Calls from `rpc`.
    pub inbox: mpsc::Receiver<Call>,
    /// Completions of the disk thread.
    pub done: mpsc::Receiver<RoundDone>,
    /// The mailboxes of all shards, in order.
    pub mailboxes: Arc<[Mailbox]>,
    /// The disk thread.
    pub rounds: Rounds,
    /// What is published.
    pub views: Arc<Views>,
    /// For reads that block.
    pub readers: Readers,
    /// The other brokers.
    pub peers: Peers,
    /// For what is known of other brokers.
    pub transport: Arc<Transport>,
    /// The broker's life.
    pub life: Arc<Life>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub meter: Arc<ShardMeter>,
}

/// One shard's loop.
pub struct EventLoop {
    parts: Parts,
    tickets: Tickets,
    elections: Elections,
    ticks: u64,
    own: BTreeMap<PartitionId, Arc<PartitionView>>,
    outgoing: Vec<Vec<Mail>>,
    calls: Vec<Call>,
    /// When the pass began, in microseconds.
    pass_micros: u64,
    ticked: bool,
    stopping: bool,
}

impl EventLoop {
    /// A loop that has not begun.
    pub fn new(parts: Parts) -> EventLoop {
        let outgoing = parts.mailboxes.iter().map(|_| Vec::new()).collect();
        EventLoop {
            elections: Elections::new(parts.id),
            ticks: 0,
            parts,
            tickets: Tickets::default(),
            own: BTreeMap::new(),
            outgoing,
            calls: Vec::new(),
            pass_micros: 0,
            ticked: false,
            stopping: false,
        }
    }

    /// Runs until the shard has stopped in order, or the broker has failed.
    pub async fn run(mut self) {
        if let Err(fatal) = self.serve().await {
            self.parts.life.fail(fatal);
        }
    }

    async fn serve(&mut self) -> Result<(), Fatal> {
        let mut tick = interval(Duration::from_millis(limits::TICK_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.pass(None)?;
        self.send_round();
        while !(self.stopping && self.parts.inbox.is_empty() && self.parts.shard.is_drained()) {
            let done = self.gather(&mut tick).await;
            let after_round = done.is_some();
            let answered = self.pass(done)?;
            if answered && !after_round {
                // What was answered by its write alone leaves before the disk thread is woken, which costs as much as
                // all the rest of a small batch. After a round the disk waits for the next one: that goes first.
                yield_now().await;
            }
            self.send_round();
        }
        if let Some(last) = self.parts.shard.close()
            && self.parts.rounds.hand_over(self.parts.id, last)
        {
            // The disk thread says by itself when it fails.
            let _ = self.parts.done.recv().await;
        }
        Ok(())
    }

    /// Waits until there is something to do, and takes what has come.
    async fn gather(&mut self, tick: &mut Interval) -> Option<RoundDone> {
        let Parts { inbox, done, mailboxes, id, .. } = &mut self.parts;
        let mailbox = &mailboxes[id.0 as usize];
        let mut finished = None;
        tokio::select! {
            biased;
            result = done.recv() => finished = result,
            _ = tick.tick() => self.ticked = true,
            // A closed inbox is for ever ready.
            count = inbox.recv_many(&mut self.calls, limits::INPUTS_PER_PASS_MAX), if !self.stopping || !inbox.is_empty() => {
                if count == 0 {
                    self.stopping = true;
                }
            }
            () = mailbox.posted() => {}
        }
        if finished.is_none() {
            finished = done.try_recv().ok();
        }
        while self.calls.len() < limits::INPUTS_PER_PASS_MAX {
            let Ok(call) = inbox.try_recv() else { break };
            self.calls.push(call);
        }
        finished
    }

    /// Lets the machine handle what has come, and hands out what follows but for the round. Says whether anybody was
    /// answered.
    fn pass(&mut self, done: Option<RoundDone>) -> Result<bool, Fatal> {
        let now = self.parts.clock.now();
        self.pass_micros = self.parts.clock.micros();
        if let Some(done) = done {
            self.parts.shard.round_done(now, done)?;
        }
        for mail in self.parts.mailboxes[self.parts.id.0 as usize].take() {
            match mail {
                Mail::Message(message) => {
                    self.parts.shard.handle(now, ShardInput::Machine(Input::Shard(message)))
                }
                Mail::Input(input) => self.parts.shard.handle(now, input),
                Mail::Wake(view) => view.wake(self.parts.id),
                Mail::Peer(event) => self.peer_event(now, event),
            }
        }
        if std::mem::take(&mut self.ticked) {
            self.parts.shard.handle(now, ShardInput::Tick);
            self.ticks += 1;
            if self.ticks.is_multiple_of(limits::SECOND_TICKS) {
                self.elections.second();
            }
        }
        let mut calls = std::mem::take(&mut self.calls);
        for call in calls.drain(..) {
            if let Some(input) = self.input(call) {
                self.parts.shard.handle(now, input);
            }
        }
        self.calls = calls;
        self.parts.shard.flush(now)?;
        let answered = self.hand_out();
        // A partition that has just been opened has its name from here on.
        let name = |id: PartitionId| self.own.get(&id).map(|view| format!("{}:{}", view.topic, id.partition));
        self.elections.tell(self.parts.shard.take_elections(), now.mono_ms, name);
        Ok(answered)
    }

    /// Gives the disk thread its next round, if it has none and there is something to do.
    fn send_round(&mut self) {
        let now = self.parts.clock.now();
        if let Some(round) = self.parts.shard.take_round(now)
            && !self.parts.rounds.hand_over(self.parts.id, round)
        {
            // The disk thread has failed and said so; nothing can become durable any more.
            self.stopping = true;
        }
    }

    fn input(&mut self, call: Call) -> Option<ShardInput> {
        Some(match call {
            Call::Produce { partition, batch, acks, reply } => {
                let since = (acks == Acks::All).then_some(self.pass_micros);
                let ticket = self.tickets.issue_at(reply, since);
                ShardInput::Produce { ticket, partition, batch, acks }
            }
            Call::Control { request, reply } => {
                ShardInput::Machine(Input::Control { ticket: self.tickets.issue(reply), request })
            }
            Call::Trim { partition, before, validate_only, reply } => {
                ShardInput::Trim { ticket: self.tickets.issue(reply), partition, before, validate_only }
            }
            Call::Recover { topic, partition, validate_only, reply } => {
                let ticket = self.tickets.issue(reply);
                ShardInput::Machine(Input::Recover { ticket, topic, partition, validate_only })
            }
            Call::Transfer { partition, to, reply } => {
                ShardInput::Machine(Input::Transfer { ticket: self.tickets.issue(reply), partition, to })
            }
            Call::Stop => {
                self.stopping = true;
                self.parts.inbox.close();
                ShardInput::Machine(Input::Stop)
            }
            Call::Census(to) => {
                // Who has left needs none.
                let _ = to.send(self.parts.shard.node().census());
                return None;
            }
        })
    }

    /// Carries out what the machine wants; says whether anybody was answered.
    fn hand_out(&mut self) -> bool {
        let effects: Vec<Effect> = self.parts.shard.effects().collect();
        let mut replies = Vec::new();
        for effect in effects {
            match effect {
                Effect::Reply { ticket, reply } => replies.push((ticket, reply)),
                Effect::ToShard { shard, message } => {
                    self.outgoing[shard.0 as usize].push(Mail::Message(message))
                }
                Effect::Publish { partition, view } => self.publish(partition, view),
                Effect::Opened { partition, topic, config, reader } => {
                    let view = self.view(partition, topic, &config);
                    view.configure(config);
                    view.opened(reader);
                    self.parts.views.note_change();
                }
                Effect::Configured { partition, config } => {
                    if let Some(view) = self.own.get(&partition) {
                        view.configure(config);
                    }
                }
                Effect::Deleted { partition } => {
                    self.elections.forget(partition);
                    if let Some(view) = self.own.remove(&partition) {
                        view.close();
                        self.parts.views.remove(partition);
                        self.wake(&view);
                    }
                }
                Effect::Catalog(catalog) => {
                    self.meet(&catalog);
                    self.parts.views.set_catalog(catalog);
                }
                Effect::Registered(node) => self.parts.views.set_node(node),
                Effect::Read(read) => self.read(read),
                Effect::Send { to, class, message } => self.parts.peers.send(to, class, *message),
                Effect::Statuses(statuses) => self.tell_statuses(statuses),
            }
        }
        self.parts.peers.flush();
        // Who has an answer finds what it says: replies after everything that is published with them.
        let answered = !replies.is_empty();
        for (ticket, reply) in replies {
            if let Some(since) = self.tickets.reply(ticket, reply) {
                self.parts.meter.commits.observe(self.pass_micros.saturating_sub(since));
            }
        }
        for (mailbox, mail) in self.parts.mailboxes.iter().zip(&mut self.outgoing) {
            mailbox.post(mail);
        }
        answered
    }

    /// Lets the machine know what other brokers sent, and what became of them.
    fn peer_event(&mut self, now: Now, event: PeerEvent) {
        let shard = &mut self.parts.shard;
        match event {
            PeerEvent::Messages { from, messages } => {
                for message in messages {
                    shard.handle(now, ShardInput::Peer { from, message: Box::new(message) });
                }
            }
            PeerEvent::Statuses { from, statuses } => {
                self.parts.views.note_statuses(&statuses);
                shard.handle(now, ShardInput::Machine(Input::Statuses { from, statuses }));
            }
            PeerEvent::Addresses(addresses) => self.parts.peers.set_addresses(&addresses),
            PeerEvent::Up(node) => {
                self.parts.views.note_peer(node, true);
                shard.handle(now, ShardInput::Machine(Input::PeerUp(node)));
            }
            PeerEvent::Down(node) => {
                self.parts.views.note_peer(node, false);
                shard.handle(now, ShardInput::Machine(Input::PeerDown(node)));
            }
            PeerEvent::Dropped { messages, .. } => {
                for Undelivered { partition, replica } in messages {
                    shard.handle(now, ShardInput::Machine(Input::Dropped { partition, replica }));
                }
            }
        }
    }

    /// Tells the other brokers, and the first shard of this one, of the partitions that it leads.
    fn tell_statuses(&mut self, statuses: Vec<PartitionStatus>) {
        if let Some(from) = self.parts.views.node() {
            let told = PeerEvent::Statuses { from, statuses: statuses.clone() };
            self.outgoing[0].push(Mail::Peer(told));
        }
        self.parts.peers.statuses(statuses);
    }

    /// Reads entries for a follower off this thread; they come back with the mail.
    fn read(&self, read: LogRead) {
        let Parts { readers, mailboxes, id, .. } = &self.parts;
        let (readers, mailboxes, id) = (readers.clone(), Arc::clone(mailboxes), *id);
        tokio::spawn(async move {
            // A read that panicked is asked for again, with the follower's next sign of life.
            if let Ok(input) = readers.run(move || read.run()).await {
                mailboxes[id.0 as usize].post(&mut vec![Mail::Input(input)]);
            }
        });
    }

    /// Who belongs to the cluster, for the connections to other brokers.
    fn meet(&self, catalog: &Catalog) {
        let members = catalog.members().filter(|member| !member.peer_address.is_empty());
        let nodes: BTreeMap<NodeId, Contact> = members
            .map(|member| {
                (member.id, Contact { uuid: Some(member.uuid), address: member.peer_address.clone() })
            })
            .collect();
        // A catalog that is still loading knows less than the folder does.
        if !nodes.is_empty() {
            self.parts.transport.set_nodes(nodes, catalog.next_node());
        }
    }

    /// The view of a partition of this shard; published from here on.
    fn view(
        &mut self,
        partition: PartitionId,
        topic: Arc<str>,
        config: &Arc<TopicConfig>,
    ) -> Arc<PartitionView> {
        let (id, views) = (self.parts.id, &self.parts.views);
        let view = self.own.entry(partition).or_insert_with(|| {
            let traffic = views.traffic(partition.topic);
            let config = Arc::clone(config);
            let view = Arc::new(PartitionView::new(partition, topic, config, traffic, (id, views.shards)));
            views.insert(&view);
            view
        });
        Arc::clone(view)
    }

    fn publish(&mut self, partition: PartitionId, published: Published) {
        let view = match self.own.get(&partition) {
            Some(view) => Arc::clone(view),
            // A log that could not be opened: there is nothing to read, and its view says why.
            None => match self.parts.views.topic_by_id(partition.topic) {
                Some(topic) => self.view(partition, Arc::clone(&topic.name), &topic.config),
                None => return,
            },
        };
        if view.publish(published) {
            self.parts.views.note_change();
        }
        self.wake(&view);
    }

    /// Wakes who waits: here at once, on other shards with this pass's mail.
    fn wake(&mut self, view: &Arc<PartitionView>) {
        for shard in view.watching() {
            if shard == self.parts.id {
                view.wake(shard);
            } else {
                self.outgoing[shard.0 as usize].push(Mail::Wake(Arc::clone(view)));
            }
        }
    }
}
