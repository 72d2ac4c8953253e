#!/usr/bin/env python3
"""Sends the 336,776 flights that left New York in 2013 through brokers that die on the way, and checks the copy.

usage: flights.py CAUDAL FLIGHTS_CSV_ZIP FOLDER one|three|HOST:PORT[,…]      run.sh gets the first three

One CSV line is one record, its key the tail number, in twelve partitions. `caudal produce` reads the lines from a
pipe and is not told what happens to the brokers:
  one        a broker is killed with SIGKILL when a third and two thirds of the lines are acknowledged, while more are
             on their way, and started again on the same port and folder
  three      of three brokers the one that leads a partition is killed, twice; then another one loses its folder, an
             empty broker takes its place, and `caudal cluster remove` takes the old number out
  HOST:PORT  the brokers are yours, and so are the kills
"""

import signal
import sys
import zipfile

import one
import three
import yours
from verdict import check


def main():
    binary, archive, folder, where = sys.argv[1:]
    # So that brokers are ended whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with zipfile.ZipFile(archive) as z:
        lines = z.read("flights.csv").splitlines()[1:]
    check("336776 flights in the file", len(lines) == 336_776)
    if where == "one":
        one.run(binary, lines, folder)
    elif where == "three":
        three.run(binary, lines, folder)
    elif ":" in where:
        yours.run(binary, lines, where)
    else:
        sys.exit(f"not one, three or HOST:PORT: {where}")
    print("all good: nothing lost, nothing twice, everything in order")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
