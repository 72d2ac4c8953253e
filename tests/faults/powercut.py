#!/usr/bin/env python3
"""Cuts the power of a broker under load, again and again: nothing that was acknowledged or read may be lost.

usage: powercut.py CAUDAL CHECK_HISTORY [ROUNDS] [SEED]

The broker's folder lies on an ext4 of its own, which is shut down under it (EXT4_IOC_SHUTDOWN without a flush of the
journal): what was not synced is gone, as after a power cut. Then the broker is killed, the image is mounted again and
the broker starts on what the disk holds. Kinds of rounds, in turn:
  load     the power goes while producers write
  reborn   the broker is killed first and starts again on its cache; a reader reads; then the power goes
  starting the power goes while the broker starts after a cut
In the end the history of all rounds is checked. Then the same with a broker whose syncs do nothing: that one must
lose records, else the cuts were none and the run is rejected.
"""

import os
import random
import sys
import tempfile
import time

import clients
import image
import lifeline

PARTITIONS = 3
KINDS = ("load", "reborn", "load", "starting")
CONTROL_ROUNDS = 8
# So that segments are sealed and prepared in the middle of it all.
SMALL_SEGMENTS = ("-c", "segment.bytes=1048576", "-c", "max.message.bytes=65536")


def rounds(binary, disk, history, folder, count, wrap=()):
    broker = clients.Broker(binary, os.path.join(disk.mount, "data"), os.path.join(folder, "broker.log"), wrap)
    acked = 0
    try:
        broker.start()
        broker.must("topic", "create", clients.TOPIC, "-p", str(PARTITIONS), *SMALL_SEGMENTS)
        disk.sync()  # so that a broker without syncs has something to lose from
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            producers = clients.load(broker, history, PARTITIONS)
            clients.wait_for_acks(broker, producers, 50)
            time.sleep(random.uniform(0.0, 1.5))
            if kind == "reborn":
                broker.kill()
                for producer in producers:
                    producer.kill()
                broker.start()
                clients.scan(broker, history)
            disk.cut_power()
            broker.kill()
            for producer in producers:
                producer.kill()
            disk.power_on()
            if kind == "starting":
                broker.spawn()
                time.sleep(random.uniform(0.0, 0.2))
                disk.cut_power()
                broker.kill()
                disk.power_on()
            now = sum(producer.acked for producer in producers)
            acked += now
            broker.start()
            read = clients.scan(broker, history)
            print(f"round {number + 1}/{count} {kind}: {now} acknowledged, {read} read", flush=True)
        broker.stop()
    finally:
        broker.close()
    return acked


def control(binary, checker, folder):
    """Whether a broker without sync loses something, and how that showed."""
    history = clients.History(os.path.join(folder, "control"))
    with image.Image(512) as disk:
        try:
            rounds(binary, disk, history, folder, CONTROL_ROUNDS, clients.WITHOUT_SYNC)
        except clients.Broken as broken:
            # It cannot even start, or has no topic any more.
            if history.has_acks():
                return True, f"it does not come back: {str(broken).splitlines()[0]}"
            raise
    code, said = history.check(checker)
    return code == 1 and "Lost {" in said, said


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 32)
    why = image.unusable()
    if why:
        sys.exit(f"powercut: {why}")
    print(f"powercut: {count} rounds, seed {seed}")
    random.seed(seed)
    with tempfile.TemporaryDirectory(prefix="caudal-powercut-") as folder:
        history = clients.History(os.path.join(folder, "history"))
        with image.Image(1024) as disk:
            acked = rounds(binary, disk, history, folder, count)
        code, said = history.check(checker)
        print(said)
        if code != 0:
            sys.exit(f"FAILED: the broker broke its word (seed {seed})")
        lost, how = control(binary, checker, folder)
        print("the same without sync:", *how.splitlines()[:3], sep="\n")
        if not lost:
            sys.exit("REJECTED: a broker without sync lost nothing, so these cuts prove nothing")
    print(f"powercut: {count} cuts, {acked} records acknowledged, none lost")


if __name__ == "__main__":
    lifeline.main(main)
