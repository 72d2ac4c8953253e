#!/usr/bin/env python3
"""Lets the write-back of a broker's disk fail for real, then restarts it: nothing that was acknowledged may be lost.

usage: fsyncgate.py CAUDAL CHECK_HISTORY

Most free blocks of the broker's ext4 have no memory behind them (a loop device over a file with holes, on a tmpfs that
is full): at some point the kernel cannot write pages back, and a sync fails. From then on those pages are clean in the cache, are not on the disk,
and the next sync says that all is well. So the broker must stop at the failed sync (exit code 5), and its next start
must believe the disk and not the cache. That is tested with the cache still there: what a reader sees after the
restart must still be there when the image is mounted afresh.
"""

import os
import sys
import tempfile
import time

import clients
import image
import lifeline

PARTITIONS = 3
IMAGE, BACKED = 512, 16  # MiB
EXIT_DISK_FAILED = 5


def fill_until_it_stops(broker, history):
    producers = clients.load(broker, history, PARTITIONS, per_second=20_000)
    until = time.monotonic() + 2 * clients.PATIENCE
    while broker.process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    for producer in producers:
        producer.kill()
    if broker.process.poll() is None:
        raise clients.Broken("the disk failed and the broker goes on")
    if broker.process.returncode != EXIT_DISK_FAILED:
        raise clients.Broken(f"exit code {broker.process.returncode}, not {EXIT_DISK_FAILED}:\n{broker.tail()}")
    acked = sum(producer.acked for producer in producers)
    if acked == 0:
        raise clients.Broken("nothing was acknowledged before the disk failed")
    return acked


def main():
    binary, checker = (os.path.abspath(path) for path in sys.argv[1:3])
    why = image.unusable()
    if why:
        sys.exit(f"fsyncgate: {why}")
    with tempfile.TemporaryDirectory(prefix="caudal-fsyncgate-") as folder:
        history = clients.History(os.path.join(folder, "history"))
        with image.Image(IMAGE, backed_mebibytes=BACKED) as disk:
            broker = clients.Broker(binary, os.path.join(disk.mount, "data"), os.path.join(folder, "broker.log"))
            try:
                broker.start()
                broker.must("topic", "create", clients.TOPIC, "-p", str(PARTITIONS))
                acked = fill_until_it_stops(broker, history)
                print(f"the disk failed after {acked} acknowledgements; the broker said:\n{broker.tail().strip()}")
                disk.back_everything()
                broker.start()
                read = clients.scan(broker, history)
                print(f"restarted on the cache that lies: {read} read")
                broker.kill()
                disk.power_on()
                broker.start()
                print(f"mounted afresh: {clients.scan(broker, history)} read")
                broker.stop()
            finally:
                broker.close()
        code, said = history.check(checker)
        print(said)
        if code != 0:
            sys.exit("FAILED: the broker broke its word")
    print("fsyncgate: a failed sync stopped the broker, and nothing acknowledged was lost")


if __name__ == "__main__":
    lifeline.main(main)
