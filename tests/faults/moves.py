#!/usr/bin/env python3
"""Moves replicas from broker to broker under load while brokers are killed: every move ends, and nothing is lost.

usage: moves.py CAUDAL CHECK_HISTORY [ROUNDS] [SEED]

Four brokers, three replicas of each partition. In each round every partition is sent to three brokers at random, the
leader included; in the middle of that one, two or all brokers are killed with SIGKILL and started again. Some moves are
cancelled on the way. Those that are not must end where they were sent, whatever died. Needs no root.
"""

import os
import random
import sys
import tempfile
import time

import clients
import lifeline
from cluster import Cluster, finish, loopback_settings

BROKERS, PARTITIONS = 4, 3
KILLED = (1, 1, 1, 2, 4)
SMALL_SEGMENTS = ("-c", "segment.bytes=1048576", "-c", "max.message.bytes=65536")


def unusable():
    """Why it cannot be done here: that is never so."""
    return None


def move(cluster, partition, to):
    place, nodes = f"{clients.TOPIC}:{partition}", ",".join(str(node) for node in to)
    code, _, error = cluster.run("cluster", "move", place, "--to", nodes, "--yes")
    if code != 0 and "are on these brokers" not in error:
        raise clients.Broken(f"{place} does not move to {nodes}: {error}\n{cluster.tail()}")


def lies_at(cluster, partition):
    """The brokers with a replica of a partition that votes, the preferred leader first."""
    partitions = cluster.json("cluster", "partitions", clients.TOPIC)["partitions"]
    replicas = next(one["replicas"] for one in partitions if one["partition"] == partition)
    return [replica["node_id"] for replica in replicas if replica["voter"]]


def move_round(cluster, producers):
    nodes = [broker.node for broker in cluster.brokers]
    targets = {partition: random.sample(nodes, 3) for partition in range(PARTITIONS)}
    for partition, to in targets.items():
        move(cluster, partition, to)
    time.sleep(random.uniform(0.0, 2.5))
    victims = random.sample(cluster.brokers, random.choice(KILLED))
    for broker in victims:
        broker.kill()
    time.sleep(random.uniform(0.0, 2.0))
    cluster.start(victims)
    if random.random() < 0.3:
        partition = random.randrange(PARTITIONS)
        # It may have ended, or not.
        if cluster.run("cluster", "move-cancel", f"{clients.TOPIC}:{partition}")[0] == 0:
            del targets[partition]
    clients.wait_for_more_acks(cluster, producers, 50)
    cluster.wait_until_well()
    for partition, to in targets.items():
        if lies_at(cluster, partition) != to:
            raise clients.Broken(f"partition {partition} was sent to {to} and lies at {lies_at(cluster, partition)}")
    return [broker.node for broker in victims], targets


def run(cluster, history, count):
    cluster.start()
    cluster.create_topic(PARTITIONS, *SMALL_SEGMENTS)
    reader, producers = clients.Reader(cluster), clients.load(cluster, history, PARTITIONS, per_second=1000)
    try:
        for number in range(count):
            clients.wait_for_more_acks(cluster, producers, 50)
            killed, moved = move_round(cluster, producers)
            print(f"round {number + 1}/{count}: {killed} killed, partitions moved to {moved}", flush=True)
        finish(cluster, producers, [reader], history)
    finally:
        reader.close()
        for producer in producers:
            producer.kill()
    return sum(producer.acked for producer in producers)


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    print(f"moves: {count} rounds, seed {seed}")
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="caudal-moves-") as folder:
        history, brokers = clients.History(os.path.join(folder, "history")), []
        for number, settings in enumerate(loopback_settings(BROKERS), 1):
            data, log = os.path.join(folder, f"broker{number}"), os.path.join(folder, f"broker{number}.log")
            brokers.append(clients.Broker(binary, data, log, (), settings))
        cluster = Cluster(brokers)
        try:
            acked = run(cluster, history, count)
        finally:
            cluster.close()
        code, said = history.check(checker)
    print(said)
    if code != 0:
        sys.exit(f"FAILED: the brokers broke their word (seed {seed})")
    print(f"moves: {count} rounds, {acked} records acknowledged, none lost, every move ended")


if __name__ == "__main__":
    lifeline.main(main)
