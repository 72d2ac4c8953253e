#!/usr/bin/env bash
# Runs produce_fetch.py against a broker of its own, in a scratch folder that is removed in the end.
# CAUDAL_BIN names a binary; without it, one is built. PIP_ARGS goes to pip.
set -Eeuo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d)
broker=

finish() {
    local code=$?
    trap - EXIT
    if [ -n "$broker" ] && kill -TERM "$broker" 2>/dev/null; then wait "$broker" || true; fi
    if [ "$code" -ne 0 ] && [ -f "$scratch/broker.log" ]; then
        echo "--- the broker's log" >&2
        tail -n 50 "$scratch/broker.log" >&2
    fi
    rm -rf "$scratch"
    exit "$code"
}
trap finish EXIT

if [ -z "${CAUDAL_BIN:-}" ]; then
    (cd "$root" && cargo build --locked --bin caudal)
    CAUDAL_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/caudal
fi

python3 -m venv "$scratch/venv"
# shellcheck disable=SC2086 # several arguments
"$scratch/venv/bin/pip" install --quiet --disable-pip-version-check ${PIP_ARGS:-} 'grpcio>=1.66,<2' 'grpcio-tools>=1.66,<2'
"$scratch/venv/bin/python" -m grpc_tools.protoc -I "$root/proto" \
    --python_out="$scratch" --grpc_python_out="$scratch" "$root"/proto/caudal/v1/*.proto

"$CAUDAL_BIN" serve --data-dir "$scratch/data" --set grpc.listen=127.0.0.1:0 \
    --set peer.listen=127.0.0.1:0 --set http.listen=127.0.0.1:0 \
    >"$scratch/ready" 2>"$scratch/broker.log" </dev/null &
broker=$!
# The broker prints one line when it takes requests: ready grpc=HOST:PORT …
until address=$(sed -n 's/^ready .*grpc=\([^ ]*\).*/\1/p' "$scratch/ready") && [ -n "$address" ]; do
    kill -0 "$broker" 2>/dev/null || { echo "the broker ended before it was ready" >&2; exit 1; }
    sleep 0.05
done

PYTHONPATH="$scratch:$here" PYTHONDONTWRITEBYTECODE=1 "$scratch/venv/bin/python" "$here/produce_fetch.py" "$address"

kill -TERM "$broker"
wait "$broker"
broker=
