"""Brokers as processes of their own, and the command line that talks to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

PATIENCE = 300  # seconds, for anything that is waited for


def fail(why):
    sys.exit(f"FAILED: {why}")


class Caudal:
    """The `caudal` binary, as a user of the brokers at `addresses` runs it."""

    def __init__(self, binary, addresses):
        self.binary, self.addresses = binary, addresses

    def spawn(self, *arguments, **more):
        return subprocess.Popen([self.binary, *arguments], env={**os.environ, "CAUDAL_BROKERS": self.addresses}, **more)

    def attempt(self, *arguments, **more):
        """The exit code and stdout of a command."""
        child = self.spawn(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **more)
        out, _ = child.communicate(timeout=PATIENCE)
        return child.returncode, out

    def run(self, *arguments):
        code, out = self.attempt(*arguments)
        if code != 0:
            fail(f"caudal {' '.join(arguments)} ended with {code}")
        return out

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--output", "json"))


class Broker:
    """`caudal serve` on one folder; after the first start always on the same ports."""

    def __init__(self, binary, data, peer="127.0.0.1:0", seeds=""):
        self.binary, self.data, self.peer, self.seeds = binary, data, peer, seeds
        self.address, self.node, self.process = "127.0.0.1:0", None, None

    def spawn(self):
        sets = [f"grpc.listen={self.address}", f"peer.listen={self.peer}", "http.listen=127.0.0.1:0"]
        if self.seeds:
            sets.append(f"cluster.seeds={self.seeds}")
        command = [self.binary, "serve", "--data-dir", self.data]
        for one in sets:
            command += ["--set", one]
        with open(self.data + ".log", "a") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)

    def wait_until_ready(self):
        bound = threading.Timer(PATIENCE, self.process.kill)
        bound.start()
        line = self.process.stdout.readline()
        bound.cancel()
        if not line.startswith("ready "):
            fail(f"the broker said {line!r}; its log:\n{open(self.data + '.log').read()}")
        fields = dict(field.split("=", 1) for field in line.split()[1:])
        self.address, self.node = fields["grpc"], int(fields["node"])

    def start(self):
        self.spawn()
        self.wait_until_ready()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self):
        self.process.terminate()

    def wait_for_the_end(self):
        code = self.process.wait(PATIENCE)
        if code != 0:
            fail(f"a broker stopped with exit code {code}; its log:\n{open(self.data + '.log').read()}")

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()


def three(binary, folder):
    """Three brokers that found a cluster: each has the same list of seeds."""
    # Closed together, so that no port comes twice.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    peers = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return [Broker(binary, f"{folder}/broker{n}", peer, ",".join(peers)) for n, peer in enumerate(peers, 1)]


def wait_until(what, holds):
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            fail(f"not within {PATIENCE} s: {what}")
        time.sleep(0.1)
