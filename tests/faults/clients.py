"""A broker as a process, producers that load it, a reader, and the history of what they saw.

The history is the format of `tests/harness/history_text.rs`; the binary `check-history` checks it.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
import zlib

import lifeline

TOPIC = "faults"
PATIENCE = 60  # seconds, for anything that is waited for
RECORD = r"%p\t%o\t%v\n"
SILENCE = 0.05  # seconds without an acknowledgement that are written down

# Starts a process whose syncs do nothing and say that they did: the kernel skips the call and returns 0. With -D the
# tracer stands aside, so that the process started is the broker itself.
_SYNCS = "fsync,fdatasync,syncfs,sync_file_range,msync"
WITHOUT_SYNC = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"]
WITHOUT_SYNC += ["-e", f"trace={_SYNCS}", "-e", f"inject={_SYNCS}:retval=0"]


class Broken(Exception):
    """Something is not as it must be, apart from what the history's check finds."""


class History:
    def __init__(self, path):
        self.path, self.lock, self.file = path, threading.Lock(), open(path, "wb")
        self.acks = 0

    def add(self, lines):
        with self.lock:
            self.file.write(lines)

    def has_acks(self):
        self.file.flush()
        with open(self.path, "rb") as file:
            return any(line.startswith(b"ack\t") for line in file)

    def check(self, binary):
        """The exit code of check-history, and what it says."""
        self.file.flush()
        done = subprocess.run([binary, self.path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stdout.strip()


class Door:
    """Where clients come in: `address` is what they are told, `binary` what they run."""

    def caudal(self, *arguments, **more):
        environment = {**os.environ, "CAUDAL_BROKERS": self.address, "NO_COLOR": "1"}
        return subprocess.Popen([self.binary, *arguments], env=environment, preexec_fn=lifeline.tie, **more)

    def run(self, *arguments, stdin=b""):
        """The exit code, stdout and stderr of a command."""
        child = self.caudal(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, error = child.communicate(stdin, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise Broken(f"caudal {' '.join(arguments)} did not end in {PATIENCE} s:\n{self.tail()}") from None
        return child.returncode, out, error.decode(errors="replace")

    def must(self, *arguments, stdin=b""):
        code, out, error = self.run(*arguments, stdin=stdin)
        if code != 0:
            raise Broken(f"caudal {' '.join(arguments)} ended with {code}: {error}\n{self.tail()}")
        return out

    def json(self, *arguments):
        return json.loads(self.must(*arguments, "--output", "json"))


class Broker(Door):
    """`caudal serve` over one folder. Unless its settings say otherwise every start takes a free port; `address` is
    the latest."""

    LISTENERS = ("grpc", "peer", "http")

    def __init__(self, binary, data, log, wrap=(), settings=None):
        self.binary, self.data, self.log, self.wrap = binary, data, log, list(wrap)
        self.settings = settings or [f"{listener}.listen=127.0.0.1:0" for listener in self.LISTENERS]
        self.process, self.address, self.node = None, None, None

    def spawn(self):
        command = [*self.wrap, self.binary, "serve", "--data-dir", self.data]
        for setting in self.settings:
            command += ["--set", setting]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                command,
                **dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=lifeline.tie),
            )

    def wait_until_ready(self):
        bound = threading.Timer(PATIENCE, self.process.kill)
        bound.start()
        line = self.process.stdout.readline()
        bound.cancel()
        if not line.startswith("ready "):
            raise Broken(f"the broker said {line!r} and ended with {self.process.wait(PATIENCE)}:\n{self.tail()}")
        fields = dict(field.split("=", 1) for field in line.split()[1:])
        self.address, self.node = fields["grpc"], int(fields["node"])

    def start(self):
        self.spawn()
        self.wait_until_ready()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.wait_for_the_end()

    def wait_for_the_end(self):
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise Broken(f"an orderly stop ended with exit code {code}:\n{self.tail()}")

    def ended(self):
        return self.process.poll() is not None

    def close(self):
        if self.process and not self.ended():
            self.kill()

    def tail(self):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-15:])


class Producer:
    """`caudal produce` on one partition, fed with values that tell themselves apart and carry their own checksum."""

    numbers = 0

    def __init__(self, broker, history, partition, per_second, timeout, options=()):
        Producer.numbers += 1
        self.number, self.history, self.partition, self.per_second = Producer.numbers, history, partition, per_second
        self.acked, self.stopping = 0, False
        # Between which moments nothing was acknowledged, where that took long.
        self.silences, self.heard = [], time.monotonic()
        self.child = broker.caudal(
            *("--timeout", timeout, "produce", TOPIC, "-p", str(partition), "--print", RECORD, *options),
            **dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE),
        )
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._feed, self._listen, self._hear)]
        self.errors = ""
        for thread in self.threads:
            thread.start()

    def _value(self, place):
        pad = "x" * random.choice((0, 10, 100, 100, 1000))
        text = f"{self.number}-{self.partition}-{place}-{pad}"
        return f"{text}-{zlib.crc32(text.encode()):08x}"

    def _feed(self):
        place, step = 0, 0.01
        try:
            while not self.stopping:
                values = [self._value(place + n) for n in range(max(1, int(self.per_second * step)))]
                place += len(values)
                self.history.add("".join(f"send\t{self.number}\t{self.partition}\t{v}\n" for v in values).encode())
                self.child.stdin.write("".join(v + "\n" for v in values).encode())
                self.child.stdin.flush()
                time.sleep(step)
            self.child.stdin.close()
        except (BrokenPipeError, ValueError):
            pass  # it was killed, or gave up; its exit code says which

    def _listen(self):
        for line in self.child.stdout:
            if line.endswith(b"\n"):  # a killed process may leave half a line
                self.history.add(b"ack\t" + line)
                self.acked += 1
                now = time.monotonic()
                if now - self.heard > SILENCE:
                    self.silences.append((self.heard, now))
                self.heard = now

    def _hear(self):
        self.errors = self.child.stderr.read().decode(errors="replace")

    def longest_silence(self, begin, end):
        """The longest time without an acknowledgement that began or ended between two moments, in seconds."""
        silences = [*self.silences, (self.heard, end)]
        return max((until - since for since, until in silences if until > begin and since < end), default=0)

    def kill(self):
        self.stopping = True
        self.child.kill()
        return self.wait()

    def finish(self):
        """Ends its input, and waits until everything is acknowledged or given up."""
        self.stopping = True
        return self.wait()

    def wait(self):
        code = self.child.wait(PATIENCE * 3)
        for thread in self.threads:
            thread.join()
        return code


def load(broker, history, partitions, per_second=2000, timeout="10s", options=()):
    """A producer for each partition."""
    return [Producer(broker, history, partition, per_second, timeout, options) for partition in range(partitions)]


def wait_for_acks(broker, producers, each):
    """Until every producer has so many acknowledgements: a fault before that would have no effect."""
    until = time.monotonic() + PATIENCE
    while any(producer.acked < each for producer in producers):
        ended = [p for p in producers if p.child.poll() is not None]
        if ended or broker.ended() or time.monotonic() > until:
            acked = [producer.acked for producer in producers]
            codes = [producer.child.poll() for producer in producers]
            raise Broken(f"acknowledged {acked}, not {each} each; producers ended with {codes}:\n{broker.tail()}")
        time.sleep(0.01)


def wait_for_more_acks(broker, producers, more):
    """Until every producer has so many acknowledgements more than it has."""
    before = [producer.acked for producer in producers]
    until = time.monotonic() + PATIENCE
    while any(producer.acked < acked + more for producer, acked in zip(producers, before)):
        ended = [producer.child.poll() for producer in producers if producer.child.poll() is not None]
        if ended or time.monotonic() > until:
            now = [producer.acked for producer in producers]
            errors = "".join(producer.errors for producer in producers)
            raise Broken(f"acknowledged {before}, then {now}; ended with {ended}: {errors}\n{broker.tail()}")
        time.sleep(0.01)


def scan(broker, history):
    """Reads everything back."""
    lines = read_all(broker)
    history.add(as_scan(lines))
    return len(lines)


def read_all(broker):
    out = broker.must("consume", TOPIC, "-o", "start", "-e", "-f", RECORD)
    lines = out.split(b"\n")
    if lines.pop() != b"":
        raise Broken("consume ended within a line")
    return lines


def as_scan(lines):
    return b"scan\n" + b"".join(b"read\t" + line + b"\n" for line in lines) + b"end\n"


class Reader:
    """`caudal consume`, which follows the topic through everything that happens."""

    def __init__(self, broker):
        self.lines = []
        command = ("consume", TOPIC, "-o", "start", "-f", RECORD)
        self.child = broker.caudal(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        for line in self.child.stdout:
            if line.endswith(b"\n"):
                self.lines.append(line[:-1])

    def finish(self, history, count):
        """Waits until it has read so many records, ends it, and writes them down."""
        until = time.monotonic() + PATIENCE
        while len(self.lines) < count and self.child.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        code = self.close()
        if len(self.lines) < count or code != -signal.SIGKILL:
            raise Broken(f"a reader that followed saw {len(self.lines)} of {count} records and ended with {code}")
        history.add(as_scan(self.lines))

    def close(self):
        """The exit code."""
        if self.child.poll() is None:
            self.child.kill()
        code = self.child.wait()
        self.thread.join()
        return code
