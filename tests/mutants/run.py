#!/usr/bin/env python3
"""Plants known bugs, one at a time, and demands that the simulator and the models find each.

    python3 tests/mutants/run.py [WORDS OF A BUG]

Each bug of bugs.json is a small change of production code. It is made in a copy of the tree (target/mutants), never
here. First the unplanted copy must pass; then each planted one must fail, and not because it does not compile.
A bug that says what masks it (a second defence that catches the same) may go unfound, and is listed as such.
Exit 0 when all others are found, 1 when one is not or a change no longer fits the code.
"""

import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPY = ROOT / "target" / "mutants" / "tree"
TESTS = ["--test", "sim", "--test", "model"]


def cargo(*words):
    command = ["cargo", "test", "-q", "-p", "caudal-tests", *words]
    return subprocess.run(command, cwd=COPY, capture_output=True, text=True)


def copy_tree():
    COPY.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, target = ROOT / name, COPY / name
        if not source.is_file():
            continue
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def plant(text, bug):
    for change in filter(None, [bug, bug.get("also")]):
        if text.count(change["from"]) != 1:
            sys.exit(f"{bug['bug']}: the change does not fit {bug['file']} any more")
        text = text.replace(change["from"], change["to"])
    return text


def main():
    words = " ".join(sys.argv[1:])
    bugs = json.loads((pathlib.Path(__file__).parent / "bugs.json").read_text())
    copy_tree()
    if cargo(*TESTS).returncode != 0:
        sys.exit("the tests fail without a planted bug")
    missed = 0
    for bug in (bug for bug in bugs if words in bug["bug"]):
        path = COPY / bug["file"]
        whole = path.read_text()
        path.write_text(plant(whole, bug))
        try:
            built = cargo("--no-run", *TESTS)
            if built.returncode != 0:
                sys.exit(f"{bug['bug']}: does not compile\n{built.stderr}")
            found = cargo("--no-fail-fast", *TESTS)
        finally:
            path.write_text(whole)
        by = [line.strip() for line in found.stdout.splitlines() if line.startswith("seed ") or "panicked" in line]
        masked = bug.get("masked")
        word = "found " if found.returncode else "masked" if masked else "MISSED"
        print(f"{word}  {bug['bug']}", *(by[:1] or [masked or ""]), sep="  ", flush=True)
        missed += word == "MISSED"
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
