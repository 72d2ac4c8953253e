"""Hosts in network namespaces of their own behind a switch, and cables between that can be cut. Root and Linux.

The calling process enters a namespace of its own first, in which the switch lives: the machine's network is neither
seen nor touched, and everything is gone when the processes are.
"""

import ctypes
import json
import os
import shutil
import subprocess
import sys

import lifeline

_NEW_NET = 0x40000000  # CLONE_NEWNET
NET, MTU = "10.231.7", "9000"


def ip(*words):
    subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, check=True, capture_output=True)


def unusable():
    """Why namespaces cannot be used here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("ip", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"needs /dev/net/tun: {error.strerror}"
    attempt = "ip link add switch type bridge && ip tuntap add port0 mode tap"
    done = subprocess.run(["unshare", "--net", "sh", "-c", attempt], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return f"no namespace with a switch: {done.stderr.strip()}" if done.returncode else None


class Host:
    """A namespace at the end of a cable. `enter` is what a command line begins with to run in it."""

    def __init__(self, number):
        self.address = f"{NET}.{number}"
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cable.py")
        self.cable = subprocess.Popen(
            [sys.executable, script, f"port{number}", f"{self.address}/24", MTU],
            **dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=lifeline.tie),
        )
        if self.cable.stdout.readline() != "ready\n":
            self.close()
            raise RuntimeError(f"no cable to {self.address}")
        self.enter = ["nsenter", f"--net=/proc/{self.cable.pid}/ns/net", "--"]

    def cut(self, **rules):
        """New rules for the cable (see cable.py); what the ones before did: how many frames were `dropped`."""
        self.cable.stdin.write(json.dumps(rules) + "\n")
        self.cable.stdin.flush()
        return json.loads(self.cable.stdout.readline())

    def heal(self):
        return self.cut()

    def close(self):
        self.cable.stdin.close()
        self.cable.wait()


class Network:
    """So many hosts, `with` which something is done. Clients run where the switch is."""

    def __init__(self, count):
        self.count, self.hosts = count, []

    def __enter__(self):
        # Of this thread, and of those that it starts afterwards.
        if ctypes.CDLL(None, use_errno=True).unshare(_NEW_NET) != 0:
            raise RuntimeError(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        ip("link", "set", "lo", "up")
        ip("link", "add", "switch", "type", "bridge")
        ip("addr", "add", f"{NET}.254/24", "dev", "switch")
        ip("link", "set", "switch", "mtu", MTU, "up")
        try:
            for number in range(1, self.count + 1):
                self.hosts.append(Host(number))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in self.hosts:
            host.close()
