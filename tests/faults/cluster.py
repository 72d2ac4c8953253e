"""Three brokers of one cluster, side by side."""

import socket
import time

import clients


def loopback_settings(count):
    """Settings of so many brokers of a cluster on ports of the loopback interface that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * count)]
    free = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    grpc, peers = free[:count], free[count:]
    common = ["http.listen=127.0.0.1:0", f"cluster.seeds={','.join(peers)}"]
    return [[f"grpc.listen={g}", f"peer.listen={p}", *common] for g, p in zip(grpc, peers)]


def finish(cluster, producers, readers, history):
    """Ends a run: everything is acknowledged, read once more, and the brokers stop in order."""
    codes = [producer.finish() for producer in producers]
    if any(codes):
        raise clients.Broken(f"producers ended with {codes}: {''.join(p.errors for p in producers)}")
    lines = clients.read_all(cluster)
    for reader in readers:
        reader.finish(history, len(lines))
    history.add(clients.as_scan(lines))
    cluster.stop()


class Cluster(clients.Door):
    """What clients run, they run against all of its brokers."""

    def __init__(self, brokers):
        self.brokers, self.binary = brokers, brokers[0].binary

    @property
    def address(self):
        return ",".join(broker.address for broker in self.brokers)

    def start(self, brokers=None):
        """Starts all, or some, at once: the founders wait for each other."""
        brokers = self.brokers if brokers is None else brokers
        for broker in brokers:
            broker.spawn()
        for broker in brokers:
            broker.wait_until_ready()

    def stop(self):
        for broker in self.brokers:
            broker.process.terminate()
        for broker in self.brokers:
            broker.wait_for_the_end()

    def close(self):
        for broker in self.brokers:
            broker.close()

    def ended(self):
        return all(broker.ended() for broker in self.brokers)

    def tail(self):
        return "".join(f"broker {broker.node}:\n{broker.tail()}" for broker in self.brokers)

    def create_topic(self, partitions, *options):
        self.must("topic", "create", clients.TOPIC, "-p", str(partitions), "-r", "3", *options)

    def leader(self, partition, asked=None):
        """The broker that leads a partition, as the broker `asked` knows."""
        until = time.monotonic() + clients.PATIENCE
        while time.monotonic() < until:
            partitions = (asked or self).json("cluster", "partitions", clients.TOPIC)["partitions"]
            node = next(one["leader_node"] for one in partitions if one["partition"] == partition)
            for broker in self.brokers:
                if broker.node == node:
                    return broker
            time.sleep(0.1)
        raise clients.Broken(f"partition {partition} has no leader:\n{self.tail()}")

    def control_leader(self):
        """The broker that decides for the cluster."""
        nodes = self.json("cluster", "nodes")["nodes"]
        deciding = [node["node_id"] for node in nodes if node["control_leader"]]
        return next((broker for broker in self.brokers if broker.node in deciding), self.brokers[0])

    def wait_until_well(self):
        """Until nothing is said to be wrong: every partition led, every replica in step."""
        until = time.monotonic() + clients.PATIENCE
        while True:
            code, out, _ = self.run("cluster", "health")
            if code == 0:
                return
            if time.monotonic() > until:
                raise clients.Broken(f"the cluster does not get well:\n{out.decode()}\n{self.tail()}")
            time.sleep(0.2)
