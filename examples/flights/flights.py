#!/usr/bin/env python3
"""Sends the 336,776 flights that left New York in 2013 through a broker that is killed twice, and checks the copy.

usage: flights.py CAUDAL FLIGHTS_CSV_ZIP DATA_FOLDER      run.sh gets all three

One CSV line is one record, its key the tail number, in twelve partitions. `caudal produce` reads the lines from a
pipe; when a third and two thirds of them are acknowledged, the broker is killed with SIGKILL while more are on their
way, and started again on the same port and folder. The producer is not told.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter, defaultdict

TOPIC = "flights"
PARTITIONS = 12
KEY, SUMMED = 11, {"dep_delay": 5, "arr_delay": 8, "air_time": 14, "distance": 15}  # columns
PATIENCE = 300  # seconds, for anything that is waited for


def fail(why):
    sys.exit(f"FAILED: {why}")


class Broker:
    """`caudal serve` on one folder; after the first start always on the same port."""

    def __init__(self, binary, data):
        self.binary, self.data, self.address = binary, data, "127.0.0.1:0"
        self.process = None

    def start(self):
        sets = [f"grpc.listen={self.address}", "peer.listen=127.0.0.1:0", "http.listen=127.0.0.1:0"]
        command = [self.binary, "serve", "--data-dir", self.data]
        for one in sets:
            command += ["--set", one]
        with open(self.data + ".log", "a") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready "):
            fail(f"the broker said {line!r}; its log:\n{open(self.data + '.log').read()}")
        self.address = dict(f.split("=", 1) for f in line.split()[1:])["grpc"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        if code != 0:
            fail(f"the broker stopped with exit code {code}")

    def caudal(self, *arguments, **more):
        return subprocess.Popen([self.binary, *arguments], env={**os.environ, "CAUDAL_BROKERS": self.address}, **more)

    def run(self, *arguments):
        child = self.caudal(*arguments, stdout=subprocess.PIPE)
        out, _ = child.communicate(timeout=PATIENCE)
        if child.returncode != 0:
            fail(f"caudal {' '.join(arguments)} ended with {child.returncode}")
        return out


class Producer:
    """`caudal produce` with a thread that feeds it and one that reads what was acknowledged."""

    def __init__(self, broker, lines, gates):
        self.acked, self.lines = [], lines
        # By place in the file: further lines are held back until the event is set.
        self.gates = gates
        form = r"%p\t%o\t%v\n"
        self.child = broker.caudal(
            "produce", TOPIC, "-f", r"%k\t%v\n", "--print", form, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.threads = [threading.Thread(target=self.feed), threading.Thread(target=self.listen)]
        for thread in self.threads:
            thread.daemon = True
            thread.start()

    def feed(self):
        try:
            for at, line in enumerate(self.lines):
                if at in self.gates:
                    self.child.stdin.flush()
                    self.gates[at].wait()
                self.child.stdin.write(line.split(b",")[KEY] + b"\t" + line + b"\n")
            self.child.stdin.close()
        except BrokenPipeError:
            pass  # it ended early: its exit code says so

    def listen(self):
        for line in self.child.stdout:
            self.acked.append(line)

    def wait_for(self, acked):
        until = time.monotonic() + PATIENCE
        while len(self.acked) < acked:
            if self.child.poll() is not None or time.monotonic() > until:
                fail(f"{len(self.acked)} records acknowledged, waited for {acked}; produce: {self.child.poll()}")
            time.sleep(0.001)

    def finish(self):
        code = self.child.wait(PATIENCE)
        for thread in self.threads:
            thread.join()
        if code != 0:
            fail(f"caudal produce ended with {code}")


def murmur2(key):
    """The hash by which Kafka's clients choose a partition; written here a second time, from its description."""
    m, h = 0x5BD1E995, (0x9747B28C ^ len(key)) & 0xFFFFFFFF
    for at in range(0, len(key) & ~3, 4):
        k = int.from_bytes(key[at : at + 4], "little") * m & 0xFFFFFFFF
        h = (h * m & 0xFFFFFFFF) ^ ((k ^ (k >> 24)) * m & 0xFFFFFFFF)
    rest = key[len(key) & ~3 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & 0xFFFFFFFF
    h = (h ^ (h >> 13)) * m & 0xFFFFFFFF
    return h ^ (h >> 15)


def by_key(lines):
    keys = defaultdict(list)
    for line in lines:
        keys[line.split(b",")[KEY]].append(line)
    return keys


def sums(lines):
    total = Counter()
    for line in lines:
        fields = line.split(b",")
        for name, column in SUMMED.items():
            total[name] += 0 if fields[column] == b"NA" else int(fields[column])
    return dict(total)


def check(what, holds):
    if not holds:
        fail(what)
    print(f"checked: {what}")


def compare(lines, acked, consumed):
    records = [line.split(b"\t", 2) for line in consumed]
    values = [value for _, _, value in records]
    check(f"{len(lines)} records sent, {len(values)} read", len(values) == len(lines))
    check("the same lines, each as often as it was sent", Counter(values) == Counter(lines))
    check("within each tail number the order of the file", by_key(values) == by_key(lines))
    check(f"sums: {sums(lines)}", sums(values) == sums(lines))

    offsets, homes = defaultdict(list), {}
    for partition, offset, value in records:
        offsets[int(partition)].append(int(offset))
        homes.setdefault(value.split(b",")[KEY], set()).add(int(partition))
    check(f"all {PARTITIONS} partitions have records", set(offsets) == set(range(PARTITIONS)))
    check("offsets rise in every partition", all(a < b for o in offsets.values() for a, b in zip(o, o[1:])))
    wanted = {key: {(murmur2(key) & 0x7FFFFFFF) % PARTITIONS} for key in homes}
    check(f"{len(homes)} tail numbers, each in the partition where Kafka's clients would put it", homes == wanted)
    check("every line was acknowledged once", len(acked) == len(lines) and len(set(acked)) == len(lines))
    check("each acknowledged line is at its offset", sorted(acked) == sorted(consumed))


def main():
    binary, archive, data = sys.argv[1:]
    with zipfile.ZipFile(archive) as z:
        lines = z.read("flights.csv").splitlines()[1:]
    check("336776 flights in the file", len(lines) == 336_776)

    broker = Broker(binary, data)
    broker.start()
    try:
        broker.run("topic", "create", TOPIC, "-p", str(PARTITIONS))
        # However fast it goes, a sixth of the lines is on its way or to come when the broker is killed.
        gates = {len(lines) * 3 // 6: threading.Event(), len(lines) * 5 // 6: threading.Event()}
        producer = Producer(broker, lines, gates)
        for part, gate in enumerate(gates.values(), 1):
            producer.wait_for(len(lines) * part // 3)
            broker.kill()
            acked = len(producer.acked)
            check(f"killed the broker with {acked} records acknowledged, {len(lines) - acked} to go", acked < len(lines))
            gate.set()
            broker.start()
        producer.finish()
        consumed = broker.run("consume", TOPIC, "-o", "start", "-e", "-f", r"%p\t%o\t%v\n").splitlines()
        compare(lines, [line.rstrip(b"\n") for line in producer.acked], consumed)
        broker.stop()
        broker.run("log", "verify", data)
        check("every checksum on the disk, after an orderly stop", True)
    finally:
        if broker.process.poll() is None:
            broker.kill()
    print("all good")


if __name__ == "__main__":
    main()
