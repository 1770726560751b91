#!/usr/bin/env bash
# A cluster on one machine, to try things: a PostgreSQL of its own and some nodes, until Ctrl-C. Not for data that matters: everything is on one disk.
#   deploy/dev-cluster.sh [NODES] [DIR]      3 nodes in ./dev-cluster by default; what is in DIR is used again
set -euo pipefail
nodes=${1:-3}
dir=${2:-./dev-cluster}
[[ $nodes =~ ^[1-9]$ ]] || { echo "The number of nodes is 1 to 9, not '$nodes'." >&2; exit 2; }
here=$(cd "$(dirname "$0")/.." && pwd)
tools=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1) || true
[ -x "$tools/initdb" ] || { echo "PostgreSQL's initdb is missing: install the package postgresql." >&2; exit 1; }
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# PostgreSQL refuses to run as root.
pg() { if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

echo "Building"
dotnet build "$here/silo" -c Release -v quiet >/dev/null
program=$here/artifacts/bin/Silo/release/darkstorage-silo.dll

if [ ! -e "$dir/postgres" ]; then
    mkdir "$dir/postgres"
    [ "$(id -u)" -ne 0 ] || chown postgres "$dir/postgres"
    pg "$tools/initdb" -D "$dir/postgres" -A trust -E UTF8 --locale C >/dev/null
fi
(umask 077; [ -e "$dir/secret" ] || head -c 32 /dev/urandom | base64 > "$dir/secret")

pids=()
stop() {
    trap - EXIT INT TERM
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    pg "$tools/pg_ctl" -D "$dir/postgres" -m fast -w stop >/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT TERM
pg "$tools/pg_ctl" -D "$dir/postgres" -w -l "$dir/postgres/log" -o "-p 15432 -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 -c shared_buffers=512MB -c max_wal_size=4GB" start >/dev/null

export DARKSTORAGE_INDEX=postgres://$([ "$(id -u)" -eq 0 ] && echo postgres || id -un)@127.0.0.1:15432/postgres DARKSTORAGE_CLUSTER_SECRET_FILE=$dir/secret
export DARKSTORAGE_Cluster__Copies=${DARKSTORAGE_Cluster__Copies:-$([ "$nodes" -ge 3 ] && echo 3 || echo 1)}
export DARKSTORAGE_ROOT_ACCESS_KEY=${DARKSTORAGE_ROOT_ACCESS_KEY:-dev} DARKSTORAGE_ROOT_SECRET_KEY=${DARKSTORAGE_ROOT_SECRET_KEY:-dev-secret-key}
for ((n = 1; n <= nodes; n++)); do
    dotnet "$program" --node "node$n" --data "$dir/node$n" --s3-url "http://127.0.0.1:90${n}0" --management-url "http://127.0.0.1:90${n}1" \
        --peer-url "https://127.0.0.1:90${n}2" > "$dir/node$n.log" 2>&1 &
    pids+=($!)
done
for ((n = 1; n <= nodes; n++)); do
    until curl -sf "http://127.0.0.1:90${n}1/health/ready" >/dev/null; do
        kill -0 "${pids[n - 1]}" 2>/dev/null || { echo "node$n ended:" >&2; tail -n 5 "$dir/node$n.log" >&2; exit 1; }
        sleep 0.2
    done
    echo "node$n  S3 http://127.0.0.1:90${n}0  management http://127.0.0.1:90${n}1  log $dir/node$n.log"
done
echo "Keys: $DARKSTORAGE_ROOT_ACCESS_KEY / $DARKSTORAGE_ROOT_SECRET_KEY. The cluster: curl -u KEY:SECRET http://127.0.0.1:9011/v1/cluster. Ctrl-C ends it."
wait
