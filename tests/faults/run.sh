#!/usr/bin/env bash
# All faults, one after the other, on real disks and networks. Root, Linux; each cleans up after itself.
# usage: run.sh             the short form: some minutes
#        run.sh ROUNDS      the long form: so many rounds of each kind, then as many of kills, and a tenth as many in
#                           which a broker stands still for half a minute
# CAUDAL_BIN and CHECK_HISTORY name binaries; else they are built
set -Eeuo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -z "${CAUDAL_BIN:-}" ] || [ -z "${CHECK_HISTORY:-}" ]; then
    (cd "$root" && cargo build --locked --release -p caudal -p caudal-tests --bins)
    CAUDAL_BIN=${CARGO_TARGET_DIR:-$root/target}/release/caudal
    CHECK_HISTORY=${CARGO_TARGET_DIR:-$root/target}/release/check-history
fi
export CAUDAL_BIN CHECK_HISTORY PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here

# fault NAME NEEDS [ROUNDS]: NEEDS is the module that knows whether it can be done here.
fault() {
    local name=$1 needs=$2 why
    shift 2
    why=$(python3 -c "import $needs; print($needs.unusable() or '')")
    if [ -n "$why" ]; then
        echo "!!! SKIPPED: $name: $why"
        return
    fi
    echo "=== $name"
    python3 "$here/$name.py" "$CAUDAL_BIN" "$CHECK_HISTORY" "$@"
}

fault powercut image "${1:-4}"
fault fsyncgate image
fault disk_full image
fault netcuts network "${1:-8}"
fault cluster_powercut image "${1:-5}"
fault cluster_disks image
fault moves moves "${1:-3}"

if [ $# -gt 0 ]; then
    echo "=== kills, and brokers that stand still"
    export CAUDAL_KILL_ROUNDS=$1 CAUDAL_PAUSE_ROUNDS=$((($1 + 9) / 10)) CAUDAL_PAUSE_SECONDS=30
    (cd "$root" && cargo test --locked -p caudal-tests --test e2e -- --nocapture --test-threads 1 acknowledged outlives)
fi
