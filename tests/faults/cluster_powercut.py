#!/usr/bin/env python3
"""Cuts the power of one, two and all three brokers of a cluster under load: nothing acknowledged or read may be lost.

usage: cluster_powercut.py CAUDAL CHECK_HISTORY [ROUNDS] [SEED]

Each broker's folder lies on an ext4 of its own, which is shut down under it as in powercut.py. Producers and a reader
live through all rounds and are not told. Kinds of rounds, in turn:
  one       one broker loses power: the other two must go on
  two       nobody can go on until the power is back
  three     all at once
  reborn    all are killed first and start again on their caches; everything is read; then the power of all goes
  starting  the power of all goes again while they start after a cut
Then the same with brokers whose syncs do nothing, all three cut at once: those must lose records, else the cuts were
none and the run is rejected.
"""

import contextlib
import os
import random
import sys
import tempfile
import time

import clients
import image
import lifeline
from cluster import Cluster, finish, loopback_settings

PARTITIONS = 3
KINDS = ("one", "two", "three", "reborn", "starting")
CONTROL_ROUNDS = 4
SMALL_SEGMENTS = ("-c", "segment.bytes=1048576", "-c", "max.message.bytes=65536")


@contextlib.contextmanager
def three(binary, folder, wrap=()):
    """A cluster that has not started, and the disks of its brokers."""
    with contextlib.ExitStack() as disks:
        images = [disks.enter_context(image.Image(512)) for _ in range(3)]
        brokers = []
        for number, (disk, settings) in enumerate(zip(images, loopback_settings(3)), 1):
            data, log = os.path.join(disk.mount, "data"), os.path.join(folder, f"broker{number}.log")
            brokers.append(clients.Broker(binary, data, log, wrap, settings))
        cluster = Cluster(brokers)
        try:
            yield cluster, images
        finally:
            cluster.close()


def cut(victims):
    """The power of some brokers goes, at once."""
    for _, disk in victims:
        disk.cut_power()
    for broker, _ in victims:
        broker.kill()


def power_on(victims):
    for _, disk in victims:
        disk.power_on()


def blow(kind, cluster, disks, producers, history):
    """Cuts the power of some brokers and starts them again; their names."""
    victims = random.sample(list(zip(cluster.brokers, disks)), {"one": 1, "two": 2}.get(kind, 3))
    brokers = [broker for broker, _ in victims]
    if kind == "reborn":
        for broker in brokers:
            broker.kill()
        cluster.start()
        clients.scan(cluster, history)
    cut(victims)
    if kind == "one":
        clients.wait_for_more_acks(cluster, producers, 50)
    power_on(victims)
    if kind == "starting":
        for broker in brokers:
            broker.spawn()
        time.sleep(random.uniform(0.0, 0.4))
        cut(victims)
        power_on(victims)
    cluster.start(brokers)
    return ", ".join(str(broker.node) for broker in brokers)


def rounds(cluster, disks, history, count):
    cluster.start()
    cluster.create_topic(PARTITIONS, *SMALL_SEGMENTS)
    reader, producers = clients.Reader(cluster), clients.load(cluster, history, PARTITIONS)
    try:
        for number in range(count):
            clients.wait_for_more_acks(cluster, producers, 50)
            time.sleep(random.uniform(0.0, 1.0))
            kind, before = KINDS[number % len(KINDS)], sum(producer.acked for producer in producers)
            nodes = blow(kind, cluster, disks, producers, history)
            clients.wait_for_more_acks(cluster, producers, 50)
            read = clients.scan(cluster, history)
            what = f"{before} acknowledged, power of {nodes} cut, {read} read"
            print(f"round {number + 1}/{count} {kind}: {what}", flush=True)
            cluster.wait_until_well()
        finish(cluster, producers, [reader], history)
    finally:
        reader.close()
        for producer in producers:
            producer.kill()
    return sum(producer.acked for producer in producers)


def without_syncs(cluster, disks, history):
    cluster.start()
    cluster.create_topic(PARTITIONS, *SMALL_SEGMENTS)
    for disk in disks:
        disk.sync()  # so that there is something to lose from
    for _ in range(CONTROL_ROUNDS):
        producers = clients.load(cluster, history, PARTITIONS)
        clients.wait_for_more_acks(cluster, producers, 200)
        everyone = list(zip(cluster.brokers, disks))
        cut(everyone)
        for producer in producers:
            producer.kill()
        power_on(everyone)
        cluster.start()
        clients.scan(cluster, history)


def control(binary, checker, folder):
    """Whether brokers without sync lose something, and how that showed."""
    history = clients.History(os.path.join(folder, "control"))
    with three(binary, folder, clients.WITHOUT_SYNC) as (cluster, disks):
        try:
            without_syncs(cluster, disks, history)
        except clients.Broken as broken:
            # They cannot even start, or agree on nothing any more.
            if history.has_acks():
                return True, f"they do not come back: {str(broken).splitlines()[0]}"
            raise
    code, said = history.check(checker)
    return code == 1 and "Lost {" in said, said


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else len(KINDS)
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    why = image.unusable()
    if why:
        sys.exit(f"cluster_powercut: {why}")
    print(f"cluster_powercut: {count} rounds, seed {seed}")
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="caudal-cluster-powercut-") as folder:
        history = clients.History(os.path.join(folder, "history"))
        with three(binary, folder) as (cluster, disks):
            acked = rounds(cluster, disks, history, count)
        code, said = history.check(checker)
        print(said)
        if code != 0:
            sys.exit(f"FAILED: the brokers broke their word (seed {seed})")
        lost, how = control(binary, checker, folder)
        print("the same without sync:", *how.splitlines()[:3], sep="\n")
        if not lost:
            sys.exit("REJECTED: brokers without sync lost nothing, so these cuts prove nothing")
    print(f"cluster_powercut: {count} rounds, {acked} records acknowledged, none lost")


if __name__ == "__main__":
    lifeline.main(main)
