#!/usr/bin/env python3
"""One disk of three fills up, then one fails: the other two brokers go on, and nothing acknowledged is lost.

usage: cluster_disks.py CAUDAL CHECK_HISTORY

full    the disk of one broker is filled to the last bytes under load; every producer goes on; there is room again,
        and the broker catches up by itself
failed  the write-back of one broker's disk fails for real, as in fsyncgate.py: that broker ends with exit code 5, every
        producer goes on; it starts again and catches up
"""

import contextlib
import os
import sys
import tempfile
import time

import clients
import disk_full
import image
import lifeline
from cluster import Cluster, loopback_settings
from fsyncgate import BACKED, EXIT_DISK_FAILED, IMAGE

PARTITIONS = 3
LEFT = 8  # MiB


@contextlib.contextmanager
def one_bad_disk(binary, folder, backed=None):
    """A cluster that runs, and the disk of its first broker; the others lie in the scratch folder."""
    with image.Image(IMAGE, backed) as disk:
        brokers = []
        for number, settings in enumerate(loopback_settings(3)):
            data = os.path.join(folder if number else disk.mount, f"data{number}")
            log = os.path.join(folder, f"broker{number}.log")
            brokers.append(clients.Broker(binary, data, log, (), settings))
        cluster = Cluster(brokers)
        try:
            cluster.start()
            cluster.create_topic(PARTITIONS)
            yield cluster, brokers[0], disk
            cluster.stop()
        finally:
            cluster.close()


def go_on(cluster, producers, what):
    """Every producer gets acknowledgements, although something is wrong."""
    before = sum(producer.acked for producer in producers)
    clients.wait_for_more_acks(cluster, producers, 500)
    print(f"{what}: {sum(producer.acked for producer in producers) - before} more acknowledged", flush=True)


def finish(cluster, producers, history):
    codes = [producer.finish() for producer in producers]
    if any(codes):
        raise clients.Broken(f"producers ended with {codes}: {''.join(p.errors for p in producers)}")
    cluster.wait_until_well()
    print(f"every replica is in step; {clients.scan(cluster, history)} read", flush=True)


def behind(cluster, broker):
    """Partitions whose replica on this broker is not in step."""
    partitions = cluster.json("cluster", "partitions", clients.TOPIC)["partitions"]
    return [
        one["partition"]
        for one in partitions
        if any(replica["node_id"] == broker.node and not replica["in_step"] for replica in one["replicas"])
    ]


def wait_until_full(cluster, broker, disk, producers):
    """Until the broker lacks room: it has fallen behind, or said so."""
    until = time.monotonic() + 2 * clients.PATIENCE
    while time.monotonic() < until:
        disk_full.fill(disk, 0)
        if broker.ended():
            raise clients.Broken(f"the broker ended with {broker.process.returncode}:\n{broker.tail()}")
        late = behind(cluster, broker)
        if late:
            return late
        time.sleep(0.2)
    acked = sum(producer.acked for producer in producers)
    raise clients.Broken(f"REJECTED: {acked} acknowledged, and the full disk had no effect")


def full(binary, folder, history):
    with one_bad_disk(binary, folder) as (cluster, broker, disk):
        filler = disk_full.fill(disk, LEFT)
        producers = clients.load(cluster, history, PARTITIONS, per_second=3000)
        try:
            late = wait_until_full(cluster, broker, disk, producers)
            print(f"full: node {broker.node} has no room; its replicas of {late} fall behind", flush=True)
            go_on(cluster, producers, "the others go on")
            if broker.ended():
                raise clients.Broken(f"the broker ended with {broker.process.returncode}:\n{broker.tail()}")
            os.remove(filler)
            go_on(cluster, producers, "room again")
            finish(cluster, producers, history)
        finally:
            for producer in producers:
                producer.kill()


def failed(binary, folder, history):
    with one_bad_disk(binary, folder, BACKED) as (cluster, broker, disk):
        producers = clients.load(cluster, history, PARTITIONS, per_second=10_000)
        try:
            until = time.monotonic() + 2 * clients.PATIENCE
            while not broker.ended() and time.monotonic() < until:
                time.sleep(0.05)
            if not broker.ended():
                raise clients.Broken("REJECTED: the disk did not fail, or the broker did not notice")
            if broker.process.returncode != EXIT_DISK_FAILED:
                raise clients.Broken(f"exit code {broker.process.returncode}, not {EXIT_DISK_FAILED}:\n{broker.tail()}")
            print(f"failed: node {broker.node} ended with exit code {EXIT_DISK_FAILED}", flush=True)
            go_on(cluster, producers, "the others go on")
            disk.back_everything()
            broker.start()
            go_on(cluster, producers, "it is back, on a disk that works")
            finish(cluster, producers, history)
        finally:
            for producer in producers:
                producer.kill()


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    why = image.unusable()
    if why:
        sys.exit(f"cluster_disks: {why}")
    for happens in (full, failed):
        with tempfile.TemporaryDirectory(prefix="caudal-cluster-disks-") as folder:
            history = clients.History(os.path.join(folder, "history"))
            happens(binary, folder, history)
            code, said = history.check(checker)
            print(said)
            if code != 0:
                sys.exit("FAILED: the brokers broke their word")
    print("cluster_disks: two of three went on, the third came back, nothing acknowledged was lost")


if __name__ == "__main__":
    lifeline.main(main)
