"""Brokers that somebody else started: the flights run slowly, and whoever watches kills what he likes."""

import os
import time

from broker import Caudal, fail, wait_until
from producer import FORM, TOPIC, Producer
from verdict import PARTITIONS, compare

# How long a record may wait for a leader. Two of three brokers may be dead for so long.
DELIVERY_TIMEOUT = 600


def read_all(caudal):
    out = b""

    def readable():
        nonlocal out
        code, out = caudal.attempt("consume", TOPIC, "-o", "start", "-e", "-f", FORM)
        if code != 0:
            print("not everything can be read: start the brokers again", flush=True)
        return code == 0

    wait_until("every partition can be read", readable)
    return out.splitlines()


def run(binary, lines, addresses):
    caudal = Caudal(binary, addresses)
    code, _ = caudal.attempt("topic", "create", TOPIC, "-p", str(PARTITIONS))
    if code != 0:
        fail(f"the topic was not made; one that is there already goes with: caudal topic delete {TOPIC} --yes")
    seconds = int(os.environ.get("FLIGHTS_SECONDS", "60"))
    options = ("--delivery-timeout", f"{DELIVERY_TIMEOUT}s")
    producer = Producer(caudal, lines, {}, max(100, len(lines) // seconds), options)
    print(f"{len(lines)} flights in about {seconds} s (FLIGHTS_SECONDS): kill -9 what you like, start it again", flush=True)
    try:
        shown, since = 0, time.monotonic()
        while producer.child.poll() is None:
            time.sleep(1)
            acked = len(producer.acked)
            silent = "" if acked > shown else f"; none for {time.monotonic() - since:.0f} s"
            if acked > shown:
                shown, since = acked, time.monotonic()
            print(f"{acked} acknowledged{silent}", flush=True)
        producer.wait_for_the_end()
    finally:
        producer.close()
    compare(lines, producer.acked, read_all(caudal))
