#!/usr/bin/env python3
"""A host's network namespace and the cable that ties it to a switch: it loses, delays and doubles what it is told to.

usage: cable.py PORT ADDRESS/BITS MTU      started by network.py, in the namespace of the switch

Both ends of the cable are TAP devices, and this process carries the frames from one to the other: no module of the
kernel is needed that drops or delays, and nobody gets a reset or learns that the cable is cut. The host's namespace has
no name: who holds it are this process and those that entered it, and it is gone with them. Each line of stdin is a
JSON object of rules, which replace all before:
  out, in   what is dropped on its way from, or to, the host: "all", or a list of the others' IPv4 addresses
  loss      the part of the frames that vanish          double   the part that comes twice
  delay     seconds                                     jitter   seconds more, drawn for each frame: they overtake
The answer is a line of JSON: how many frames were dropped since the line before. It ends with stdin.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

_NEW_NET = 0x40000000  # CLONE_NEWNET
_SET_IFF, _TAP, _NO_PACKET_INFO = 0x400454CA, 0x0002, 0x1000
_IPV4 = b"\x08\x00"
FRAMES_AT_ONCE = 64


def tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _SET_IFF, struct.pack("16sH22x", name.encode(), _TAP | _NO_PACKET_INFO))
    return fd


def ip(*words):
    subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, check=True)


class Cable:
    def __init__(self, host, switch):
        # Of each end: the other one, the rule for what comes from here, and where the far address lies in a frame.
        self.ends = {host: (switch, "out", 30), switch: (host, "in", 26)}
        self.rules, self.dropped = {}, 0
        self.late, self.count = [], 0

    def obey(self, line):
        rules = json.loads(line)
        for way in ("in", "out"):
            if isinstance(rules.get(way), list):
                rules[way] = [bytes(int(part) for part in address.split(".")) for address in rules[way]]
        answer = {"dropped": self.dropped}
        self.rules, self.dropped = rules, 0
        return json.dumps(answer)

    def is_lost(self, frame, way, far):
        cut = self.rules.get(way, ())
        if cut == "all":
            return True
        if cut and frame[12:14] == _IPV4 and frame[far : far + 4] in cut:
            return True
        return "loss" in self.rules and random.random() < self.rules["loss"]

    def take(self, end):
        """Carries what waits at an end, up to a limit."""
        other, way, far = self.ends[end]
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame = os.read(end, 65536)
            except BlockingIOError:
                return
            if self.is_lost(frame, way, far):
                self.dropped += 1
                continue
            for _ in range(2 if random.random() < self.rules.get("double", 0) else 1):
                delay = self.rules.get("delay", 0) + random.random() * self.rules.get("jitter", 0)
                if delay:
                    self.count += 1
                    heapq.heappush(self.late, (time.monotonic() + delay, self.count, other, frame))
                else:
                    put(other, frame)

    def put_what_is_due(self):
        """How many milliseconds until the next is due, or nothing."""
        while self.late:
            wait = self.late[0][0] - time.monotonic()
            if wait > 0:
                return int(wait * 1000) + 1
            _, _, other, frame = heapq.heappop(self.late)
            put(other, frame)
        return None


def put(end, frame):
    try:
        os.write(end, frame)
    except OSError:
        pass  # the device is not up yet, or its queue is full: a cable may lose a frame


def main():
    port, address, mtu = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    switch = tap(port)
    ip("link", "set", port, "mtu", mtu, "master", "switch", "up")
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NET) != 0:
        sys.exit(f"no network namespace: {os.strerror(ctypes.get_errno())}")
    host = tap("eth0")
    ip("addr", "add", address, "dev", "eth0")
    ip("link", "set", "eth0", "mtu", mtu, "up")
    ip("link", "set", "lo", "up")
    print("ready", flush=True)

    cable, poll = Cable(host, switch), select.poll()
    for fd in (0, host, switch):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll(cable.put_what_is_due()):
            if fd != 0:
                cable.take(fd)
                continue
            line = sys.stdin.readline()
            if not line:
                return
            print(cable.obey(line), flush=True)


if __name__ == "__main__":
    main()
