#!/usr/bin/env python3
"""Cuts a broker of three off, again and again, under load: nothing may be lost, and the others must go on.

usage: netcuts.py CAUDAL CHECK_HISTORY [ROUNDS] [SEED]

Each broker has a network namespace of its own at the end of a cable; producers and readers are where the switch is.
Whose cable is cut leads a partition, or the control partition. Nobody gets a reset. Kinds of rounds, in turn:
  cut      nothing comes or goes             unheard  it hears and is not heard
  control  the same for who decides          deaf     it is heard and does not hear
  peers    clients reach it, brokers do not  bridge   it and one other do not reach each other, the third reaches both
  flap     all of it comes and goes          lossy    frames vanish, are late, overtake each other, come twice
In each round every producer must get acknowledgements while the cut is on; then the cluster must get well by itself.
How long nothing was acknowledged is measured and decides nothing.
"""

import os
import random
import sys
import tempfile
import time

import clients
import lifeline
import network
from cluster import Cluster, finish

PARTITIONS, READERS = 3, 2
KINDS = ("cut", "unheard", "deaf", "control", "peers", "bridge", "flap", "lossy")
# Who is cut off so leads no more: nobody hears it, it hears nobody, or only clients do.
ISOLATED = ("cut", "unheard", "deaf", "control", "peers")
LOSSY = {"loss": 0.03, "double": 0.02, "delay": 0.01, "jitter": 0.02}
SMALL_SEGMENTS = ("-c", "segment.bytes=1048576", "-c", "max.message.bytes=65536")


def brokers(binary, folder, hosts):
    seeds = ",".join(f"{host.address}:7172" for host in hosts)
    for number, host in enumerate(hosts, 1):
        settings = [f"{name}.listen={host.address}:{port}" for name, port in (("grpc", 7171), ("peer", 7172))]
        settings += ["http.listen=127.0.0.1:0", f"cluster.seeds={seeds}", "security.allow_insecure=true"]
        data, log = os.path.join(folder, f"broker{number}"), os.path.join(folder, f"broker{number}.log")
        yield clients.Broker(binary, data, log, host.enter, settings)


def rules(kind, host, hosts):
    """What the cable of a host does in a round."""
    others = [other.address for other in hosts if other is not host]
    return {
        "cut": {"in": "all", "out": "all"},
        "control": {"in": "all", "out": "all"},
        "unheard": {"out": "all"},
        "deaf": {"in": "all"},
        "peers": {"in": others, "out": others},
        "bridge": {"in": others[:1], "out": others[:1]},
        "flap": {"in": "all", "out": "all"},
        "lossy": LOSSY,
    }[kind]


def cut_round(kind, cluster, hosts, producers):
    """The longest time without acknowledgements of any producer, in seconds."""
    partition = random.randrange(PARTITIONS)
    victim = cluster.control_leader() if kind == "control" else cluster.leader(partition)
    at = cluster.brokers.index(victim)
    host, witness = hosts[at], cluster.brokers[(at + 1) % len(hosts)]
    led = [p for p in range(PARTITIONS) if cluster.leader(p, witness) is victim]
    begin, dropped = time.monotonic(), 0
    if kind == "flap":
        for _ in range(6):
            host.cut(**rules(kind, host, hosts))
            time.sleep(random.uniform(0.05, 0.6))
            dropped += host.heal()["dropped"]
            time.sleep(random.uniform(0.05, 0.3))
    else:
        host.cut(**rules(kind, host, hosts))
        time.sleep(random.uniform(1.5, 3))  # what was on its way has come by then
    clients.wait_for_more_acks(cluster, producers, 50)
    if kind in ISOLATED:
        still = [p for p in led if cluster.leader(p, witness) is victim]
        if still:
            raise clients.Broken(f"REJECTED: node {victim.node} is cut off and still leads {still}")
    end = time.monotonic()
    dropped += host.heal()["dropped"]
    if dropped == 0:
        raise clients.Broken("REJECTED: the cut dropped nothing")
    silence = max(producer.longest_silence(begin, end) for producer in producers)
    clients.wait_for_more_acks(cluster, producers, 50)
    cluster.wait_until_well()
    what = f"node {victim.node}, which led {led or 'no partition'}; {dropped} frames dropped"
    print(f"{kind}: {what}; at most {silence:.2f} s without acknowledgements", flush=True)
    return silence


def run(cluster, hosts, history, count):
    cluster.start()
    cluster.create_topic(PARTITIONS, *SMALL_SEGMENTS)
    readers = [clients.Reader(cluster) for _ in range(READERS)]
    producers, silences = clients.load(cluster, history, PARTITIONS, per_second=1000), []
    try:
        clients.wait_for_acks(cluster, producers, 50)
        cluster.wait_until_well()
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            silence = cut_round(kind, cluster, hosts, producers)
            if kind in ("cut", "control"):
                silences.append(silence)
        finish(cluster, producers, readers, history)
    finally:
        for reader in readers:
            reader.close()
        for producer in producers:
            producer.kill()
    return sum(producer.acked for producer in producers), silences


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else len(KINDS)
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    why = network.unusable()
    if why:
        sys.exit(f"netcuts: {why}")
    print(f"netcuts: {count} rounds, seed {seed}")
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="caudal-netcuts-") as folder, network.Network(3) as net:
        history = clients.History(os.path.join(folder, "history"))
        cluster = Cluster(list(brokers(binary, folder, net.hosts)))
        try:
            acked, silences = run(cluster, net.hosts, history, count)
        finally:
            cluster.close()
        code, said = history.check(checker)
    print(said)
    if code != 0:
        sys.exit(f"FAILED: the brokers broke their word (seed {seed})")
    longest = ", ".join(f"{silence:.2f}" for silence in sorted(silences)) or "none"
    print(f"netcuts: {acked} acknowledged, none lost; seconds without acknowledgements at each full cut: {longest}")


if __name__ == "__main__":
    lifeline.main(main)
