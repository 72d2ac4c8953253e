//! Replicas that move, brokers that join, drain and leave, leaderships that are handed over.

use caudal_broker::ids::{NodeId, PartitionId};
use caudal_broker::node::Input;
use caudal_broker::runtime::shard::ShardInput;
use caudal_broker::state::{Registered, Request};

use crate::agreement::catalog;
use crate::hosts::{Host, identity, node, said};
use crate::world::{PARTITIONS, Waiting, World, partition_id};

impl World {
    /// Something that an operator asks for.
    pub(crate) fn operate(&mut self) {
        match self.rng.below(20) {
            0..8 => self.move_partition(),
            8..10 => self.cancel_move(),
            10..15 => self.transfer(),
            15..18 => self.drain(),
            18 => self.join(),
            _ => self.remove(),
        }
    }

    fn some_node(&mut self) -> NodeId {
        node(self.rng.below(self.hosts.len() as u64) as usize)
    }

    fn move_partition(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as i32;
        let wanted = if self.rng.once_in(4) { 1 } else { 3 };
        let mut to: Vec<NodeId> = Vec::new();
        for _ in 0..20 {
            let next = self.some_node();
            if to.len() < wanted && !to.contains(&next) {
                to.push(next);
            }
        }
        let request = Request::MovePartition { topic: "t".into(), partition, to, validate_only: false };
        self.ask_control(Waiting::Other, request);
    }

    fn cancel_move(&mut self) {
        let partition = self.rng.below(PARTITIONS as u64) as i32;
        self.ask_control(Waiting::Other, Request::CancelMove { topic: "t".into(), partition });
    }

    fn transfer(&mut self) {
        let to = self.some_node();
        let number = self.rng.below(PARTITIONS as u64 + 1) as u32;
        let id = if number == PARTITIONS as u32 { PartitionId::CONTROL } else { partition_id(number) };
        let leads = |host: &Host| {
            let broker = host.broker.as_ref().filter(|_| !host.paused);
            broker.and_then(|broker| broker.probe(id)).is_some_and(|probe| probe.ready)
        };
        let Some(at) = self.hosts.iter().position(leads) else { return };
        let ticket = self.ticket(at, Waiting::Other);
        self.input(at, id, ShardInput::Machine(Input::Transfer { ticket, partition: id, to }));
    }

    fn drain(&mut self) {
        let (node, on) = (self.some_node(), self.rng.once_in(3));
        self.ask_control(Waiting::Other, Request::Drain { node, on });
    }

    /// Every broker may lead again.
    pub(crate) fn undrain(&mut self) {
        let Some(catalog) = catalog(&self.hosts) else { return };
        for member in catalog.members().filter(|member| member.draining) {
            self.ask_control(Waiting::Other, Request::Drain { node: member.id, on: false });
        }
    }

    /// A machine with an empty disk asks to belong to the cluster; the next one only when it does.
    fn join(&mut self) {
        if self.hosts.last().is_some_and(|host| host.identity.is_some()) {
            if self.hosts.len() >= self.founders + 2 {
                return;
            }
            self.hosts.push(Host::new(self.seed ^ (self.hosts.len() as u64) << 32));
        }
        let host = self.hosts.len() - 1;
        self.ask_control(Waiting::Join { host }, Request::RegisterNode(said(host)));
    }

    /// A machine that was told nothing asks again.
    pub(crate) fn join_again(&mut self) {
        if self.hosts.last().is_some_and(|host| host.identity.is_none()) {
            self.join();
        }
    }

    /// The machine knows who it is: it keeps that on its disk, and starts.
    pub(crate) fn joined(&mut self, host: usize, registered: Registered) {
        if self.hosts[host].identity.is_some() {
            return;
        }
        if registered.node != node(host) {
            return self.wrong.push(format!("host {host} joins as {}", registered.node));
        }
        self.hosts[host].identity = Some(identity(host, registered.node, registered.replica, 0));
        self.coverage.counts.joined += 1;
        // A broker is not begun on a full disk.
        self.hosts[host].fs.set_quota(None);
        self.start(host);
    }

    fn remove(&mut self) {
        let node = self.some_node();
        // Who is forgotten before it heard that it belongs to the cluster would get another number.
        if self.hosts[(node.0 - 1) as usize].identity.is_none() {
            return;
        }
        self.ask_control(Waiting::Other, Request::RemoveNode { node, validate_only: false });
    }

    /// Machines whose brokers are forgotten are switched off.
    pub(crate) fn switch_off(&mut self) {
        let Some(catalog) = catalog(&self.hosts) else { return };
        for at in 0..self.hosts.len() {
            let host = &self.hosts[at];
            let forgotten = catalog.member(node(at)).is_none() && node(at) < catalog.next_node();
            if host.identity.is_some() && !host.gone && forgotten && catalog.members().len() > 0 {
                self.crash(at);
                self.hosts[at].gone = true;
                self.coverage.counts.removed += 1;
            }
        }
    }
}
