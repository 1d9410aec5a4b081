#!/usr/bin/env bash
# The compose cluster, for real: built, started, written and read from outside and inside, one
# container killed, read again, and torn down.
#
# Uses the Docker engine that there is. Without one, as root on a Debian, it installs and starts
# one, and stops it at the end. Where it has no image to build from and can pull none, it makes one
# by debootstrap. Skips, with exit code 0 and a line that begins with SKIPPED, where that cannot be.
set -euo pipefail
cd "$(dirname "$0")/../.."

export COMPOSE_PROJECT_NAME=kvstore-check
base_image=python:3.11-slim
kvstore=${KVSTORE:-$PWD/.venv/bin/kvstore}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/kvstore-compose.XXXXXX")
engine=
composed=

skip() {
    echo "SKIPPED: the check with containers: $*"
    exit 0
}
say() { echo "-- $*"; }
compose() {
    if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}
clean_up() {
    code=$?
    if [ -n "$composed" ]; then
        if [ "$code" -ne 0 ]; then compose logs --tail 30 || true; fi
        compose down --volumes --timeout 5 || true
    fi
    if [ -n "$engine" ]; then
        kill "$engine" && wait "$engine" || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT

have_engine() { docker info >/dev/null 2>&1; }
have_compose() { docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1; }
install() {
    command -v apt-get >/dev/null || skip "there is no $1, and no apt-get to install it"
    say "installing $*"
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes "$@") \
        >"$scratch/apt.log" 2>&1 || skip "$* could not be installed: $(tail -n 1 "$scratch/apt.log")"
}

get_engine() {
    have_engine && return
    [ "$(id -u)" -eq 0 ] || skip "no Docker engine answers, and only root can start one"
    command -v dockerd >/dev/null || install docker.io
    say "starting dockerd"
    dockerd >"$scratch/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 60); do
        have_engine && return
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.5
    done
    skip "dockerd does not start here: $(tail -n 1 "$scratch/dockerd.log")"
}

get_base_image() {
    docker image inspect "$base_image" >/dev/null 2>&1 && return
    say "pulling $base_image"
    timeout 120 docker pull --quiet "$base_image" >/dev/null 2>&1 && return
    [ "$(id -u)" -eq 0 ] || skip "$base_image cannot be pulled, and only root can make it"
    command -v debootstrap >/dev/null || install debootstrap
    say "making $base_image by debootstrap"
    local root=$scratch/root
    debootstrap --variant=minbase \
        --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$root" \
        >"$scratch/debootstrap.log" 2>&1 ||
        skip "debootstrap failed: $(tail -n 1 "$scratch/debootstrap.log")"
    # What this machine trusts, the image trusts; and its Python is used as the official image's is.
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
    ln -sf python3 "$root/usr/bin/python"
    tar -C "$root" -c . | docker import - "$base_image" >/dev/null
    rm -rf "$root"
}

build_image() {
    # pip in the image is told what pip here is told by its environment, as far as that makes sense
    # elsewhere: files of this machine are not there, but for the certificates put in above.
    local arguments=() name
    for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_CERT; do
        if [ -n "${!name:-}" ] && [[ ${!name} != file:* ]]; then
            arguments+=(--build-arg "$name=${!name}")
        fi
    done
    say "building the image"
    docker build --quiet --tag kvstore ${arguments[@]+"${arguments[@]}"} .
}

wait_healthy() {
    local node
    for node in "$@"; do
        for _ in $(seq 120); do
            "$kvstore" health "$node" 2>/dev/null && continue 2
            sleep 0.5
        done
        echo "$node did not serve within a minute" >&2
        return 1
    done
}

expect() {
    if [ "$1" != "$2" ]; then
        echo "expected $1, got $2" >&2
        exit 1
    fi
}

[ -x "$kvstore" ] || { echo "there is no $kvstore: make environment" >&2; exit 2; }
get_engine
have_compose || { [ "$(id -u)" -eq 0 ] && install docker-compose || skip "there is no docker-compose"; }
get_base_image
build_image

say "starting the cluster"
composed=yes
compose up --detach --no-build
export KVSTORE_ENDPOINTS=127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 KVSTORE_TIMEOUT=20
wait_healthy 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003

say "writing and reading from this machine"
"$kvstore" put city Bremen
expect Bremen "$("$kvstore" get city)"
say "reading from inside"
expect Bremen "$(compose exec -T n2 kvstore get city)"

leader=$("$kvstore" --output json locate city | sed -n 's/.*"leader": "\([^"]*\)".*/\1/p')
say "killing the container of $leader, which leads the key"
docker kill "$(compose ps -q "$leader")" >/dev/null
expect Bremen "$("$kvstore" get city)"
"$kvstore" put city Oldenburg
expect Oldenburg "$("$kvstore" get city)"

say "starting it again"
compose start "$leader"
wait_healthy 127.0.0.1:7001 127.0.0.1:7002 127.0.0.1:7003
"$kvstore" status
expect Oldenburg "$("$kvstore" get city)"
say "the compose cluster holds"
