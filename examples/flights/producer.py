"""`caudal produce`, which reads the flights from a pipe."""

import subprocess
import threading
import time

from broker import PATIENCE, fail

TOPIC = "flights"
KEY = 11  # the column of the tail number
# What is printed of a record that was acknowledged, and of one that was read.
FORM = r"%p\t%o\t%v\n"


class Producer:
    """With a thread that feeds it and one that reads what was acknowledged. It is never told that a broker dies."""

    def __init__(self, caudal, lines, gates, per_second=None, options=()):
        self.acked, self.lines, self.per_second = [], lines, per_second
        # By place in the file: further lines are held back until the event is set.
        self.gates = gates
        command = ("produce", TOPIC, "-f", r"%k\t%v\n", "--print", FORM, *options)
        self.child = caudal.spawn(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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
                if self.per_second and at % (self.per_second // 100) == 0:
                    self.child.stdin.flush()
                    time.sleep(0.01)
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

    def wait_for_the_end(self, patience=PATIENCE):
        try:
            code = self.child.wait(patience)
        except subprocess.TimeoutExpired:
            fail(f"{len(self.acked)} records acknowledged, and no end within {patience} s")
        for thread in self.threads:
            thread.join()
        if code != 0:
            fail(f"caudal produce ended with {code}")

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
