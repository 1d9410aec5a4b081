#!/usr/bin/env bash
# Three nodes, real data, a killed leader: what survives. Run it by `make demo`.
#
# Uses the kvstore command and nothing else of kvstore. Data, logs and ports are its own, and when
# it ends, however it ends, nothing of it is left running.
set -euo pipefail

data=${1:-"$(dirname "$0")/debian-packages.jsonl.xz"}
key=${2:-debian/bookworm/bash}
folder=$(mktemp -d "${TMPDIR:-/tmp}/kvstore-demo.XXXXXX")

clean_up() {
    kvstore local down --delete-data --data-dir "$folder/cluster" >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi
step() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

step "Start three nodes on this machine"
cluster=(--data-dir "$folder/cluster")
echo "$ kvstore local up --base-port 0 ${cluster[*]}"
KVSTORE_ENDPOINTS=$(kvstore local up --base-port 0 "${cluster[@]}")
export KVSTORE_ENDPOINTS
run kvstore local status "${cluster[@]}"

step "Load real data: $data"
run kvstore import "$data" --timeout 30
count=$(kvstore scan --keys-only | wc -l)

step "Read a key, and see who leads its partition"
# A file without the usual key is demonstrated with its first one.
kvstore get "$key" >/dev/null 2>&1 || key=$(kvstore scan --limit 1 --keys-only)
run kvstore get "$key"
echo
run kvstore locate "$key"
leader=$(kvstore --output json locate "$key" | sed -n 's/.*"leader": "\([^"]*\)".*/\1/p')

step "Kill that node, $leader, as a crash would"
run kvstore local kill "$leader" "${cluster[@]}"

step "The key is still there, and can be written"
run kvstore get "$key"
echo
before=$(kvstore get "$key")
run kvstore put demo/while-down "written while $leader was down"
echo "$ kvstore put $key - (the value that it has)"
printf '%s' "$before" | kvstore put "$key" -
run kvstore locate "$key"

step "Start $leader again, and wait until it has caught up"
run kvstore local start "$leader" "${cluster[@]}"
run kvstore get demo/while-down
echo
run kvstore status

step "Every record is there: $count, and the one that was put while $leader was down"
echo "$ kvstore scan --keys-only | wc -l"
kvstore scan --keys-only | wc -l | tee "$folder/count"
test "$(cat "$folder/count")" -eq $((count + 1))
test "$(kvstore get "$key")" = "$before"

step "Stop everything and delete the data"
run kvstore local down --delete-data "${cluster[@]}"
