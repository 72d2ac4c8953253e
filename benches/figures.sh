#!/bin/sh
# The figures of a broker and the floors of this machine, in one run of about five minutes: see benches/README.md.
#   sh benches/figures.sh [--repeats N] [--dir FOLDER] [--only traffic|starts|idle]
set -eu
cd "$(dirname "$0")/.."
cargo build --release -p caudal -p caudal-benches --bin caudal --bin figures
target=${CARGO_TARGET_DIR:-target}
exec "$target/release/figures" "$target/release/caudal" "$@"
