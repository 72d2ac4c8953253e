#!/usr/bin/env bash
# All faults on a broker with a real disk, one after the other. Root, Linux, loop devices; each cleans up after itself.
# usage: run.sh [ROUNDS of power cuts, 20]        CAUDAL_BIN and CHECK_HISTORY name binaries; else they are built
set -Eeuo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -z "${CAUDAL_BIN:-}" ] || [ -z "${CHECK_HISTORY:-}" ]; then
    (cd "$root" && cargo build --locked --release -p caudal -p caudal-tests --bins)
    CAUDAL_BIN=${CARGO_TARGET_DIR:-$root/target}/release/caudal
    CHECK_HISTORY=${CARGO_TARGET_DIR:-$root/target}/release/check-history
fi
export PYTHONDONTWRITEBYTECODE=1
for fault in powercut fsyncgate disk_full; do
    echo "=== $fault"
    rounds=()
    if [ "$fault" = powercut ]; then rounds=("${1:-20}"); fi
    python3 "$here/$fault.py" "$CAUDAL_BIN" "$CHECK_HISTORY" "${rounds[@]}"
done
