#!/usr/bin/env python3
"""Fills a broker's disk: writes are refused with DISK_FULL, reads go on, and it recovers when there is room.

usage: disk_full.py CAUDAL CHECK_HISTORY

A producer tries for its delivery timeout before it gives up: here for some seconds.
The disk is filled twice: by the broker's own records beside a filler file, and, while the broker is down, to the last
byte. In the end every acknowledged record must be there.
"""

import errno
import os
import sys
import tempfile
import time

import clients
import image
import lifeline

PARTITIONS = 3
IMAGE, LEFT = 512, 24  # MiB
DELIVERY_TIMEOUT = "15s"


def fill(disk, leave):
    """Takes all room but so many MiB. The name of the file that takes it."""
    path = os.path.join(disk.mount, "filler")
    with open(path, "wb") as filler:
        # Room that is freed or promised meanwhile, and the file's own blocks, make the number a guess: step by step.
        while True:
            room = os.statvfs(disk.mount)
            size = min(16 << 20, room.f_bavail * room.f_frsize - (leave << 20))
            if size < 1 << 20:
                return path
            try:
                os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return path


def alive(broker):
    if broker.process.poll() is not None:
        raise clients.Broken(f"the broker ended with {broker.process.returncode}:\n{broker.tail()}")


def run(broker, disk, history):
    broker.start()
    broker.must("topic", "create", clients.TOPIC, "-p", str(PARTITIONS))
    filler = fill(disk, LEFT)
    soon = ("--delivery-timeout", DELIVERY_TIMEOUT)
    producers = clients.load(broker, history, PARTITIONS, per_second=5_000, options=soon)
    codes = [producer.wait() for producer in producers]
    alive(broker)
    if not all(codes) or not all(producer.acked for producer in producers):
        raise clients.Broken(f"producers on a full disk ended with {codes}")
    for producer in producers:
        if "no room on the disk" not in producer.errors:
            raise clients.Broken(f"a producer was not told why: {producer.errors}")
    print(f"full after {sum(p.acked for p in producers)} records: {producers[0].errors.strip().splitlines()[-1]}")
    print(f"reads go on: {clients.scan(broker, history)} read")
    broker.must("topic", "list")

    os.remove(filler)
    after(broker, history, "room again")

    broker.kill()
    filler = fill(disk, 0)
    broker.start()
    print(f"started on a full disk: {clients.scan(broker, history)} read")
    code, _, error = broker.run("topic", "create", "late")
    if code != 1 or "no room on the disk" not in error or "late" not in error:
        raise clients.Broken(f"a topic without room ended with {code}: {error}")
    print(f"a topic created on a full disk: {error.strip()}")
    alive(broker)
    os.remove(filler)
    after(broker, history, "room again")
    wait_until_made(broker, "late")
    broker.stop()


def wait_until_made(broker, topic):
    deadline = time.monotonic() + clients.PATIENCE
    while True:
        code, _, error = broker.run("topic", "create", topic, "--if-not-exists")
        if code == 0:
            break
        if time.monotonic() > deadline:
            raise clients.Broken(f"there is room and {topic} is not made: {error}")
    broker.must("produce", topic, stdin=b"x\n")


def after(broker, history, what):
    producers = clients.load(broker, history, PARTITIONS, per_second=1000)
    clients.wait_for_acks(broker, producers, 100)
    codes = [producer.finish() for producer in producers]
    if any(codes):
        raise clients.Broken(f"{what}, and producers ended with {codes}: {producers[0].errors}")
    print(f"{what}: {sum(producer.acked for producer in producers)} written, {clients.scan(broker, history)} read")


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    why = image.unusable()
    if why:
        sys.exit(f"disk_full: {why}")
    with tempfile.TemporaryDirectory(prefix="caudal-disk-full-") as folder:
        history = clients.History(os.path.join(folder, "history"))
        with image.Image(IMAGE) as disk:
            broker = clients.Broker(binary, os.path.join(disk.mount, "data"), os.path.join(folder, "broker.log"))
            try:
                run(broker, disk, history)
            finally:
                broker.close()
        code, said = history.check(checker)
        print(said)
        if code != 0:
            sys.exit("FAILED: the broker broke its word")
    print("disk_full: refused with a reason, read on, recovered, lost nothing")


if __name__ == "__main__":
    lifeline.main(main)
