"""That nothing of a run outlives it, however it ends."""

import ctypes
import signal
import sys

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_LIBC = ctypes.CDLL(None)


def tie():
    """Called in a child before it becomes another program: it is killed when the thread that started it is gone."""
    _LIBC.prctl(_DEATH_SIGNAL, signal.SIGKILL)


def main(work):
    """Runs a script's `main`; on SIGTERM and Ctrl-C, too, everything that is open is closed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        work()
    except KeyboardInterrupt:
        sys.exit(130)
