#!/usr/bin/env bash
# How many versions a lifecycle run decides on in a second: a node with many small objects, and policies that are tried out on all of them (a preview reads and decides as a run does).
#   dotnet build -c Release && bash benchmarks/Decisions/run.sh [OBJECTS] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
objects=${1:-100000} rounds=${2:-5}
work=$(mktemp -d)
trap 'kill "$node" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
export DARKSTORAGE_ROOT_ACCESS_KEY=benchmark DARKSTORAGE_ROOT_SECRET_KEY=benchmark-secret-key
export AWS_ACCESS_KEY_ID=benchmark AWS_SECRET_ACCESS_KEY=benchmark-secret-key
s3=http://127.0.0.1:9310 management=http://127.0.0.1:9311

dotnet artifacts/bin/Silo/release/darkstorage-silo.dll --data "$work/data" --s3-url $s3 --management-url $management > "$work/log" 2>&1 &
node=$!
until curl -sf $management/health/ready > /dev/null; do sleep 0.2; done
admin() { curl -sf -u benchmark:benchmark-secret-key -H 'Content-Type: application/json' "$@"; }
mkdir "$work/nas"
admin $management/v1/integrations -d "{\"name\":\"nas\",\"type\":\"filesystem\",\"settings\":{\"path\":\"$work/nas\"}}" > /dev/null
for tier in warm cold; do admin -X PUT $management/v1/tiers/$tier -d '{"integration":"nas"}' > /dev/null; done
dotnet artifacts/bin/Load/release/DarkStorage.Load.dll run --url $s3 --bucket objects --objects "$objects" --size 64 --prepare --mix head --seconds 1 > /dev/null

listing='name LIKE "other/*" -> cold
size > 1MB AND age > 30d -> cold
file_extension IN (.log, .txt) AND age > 7d -> warm
age > 365d -> cold
age > 30d -> warm'
tags="tag.project == \"x\" -> warm
$listing"

preview() { # seconds of one preview
    local from; from=$(date +%s.%N)
    admin "$management/v1/lifecycle/objects/preview" -d "$(jq -n --arg text "$1" '{text: $text}')" | jq -e --argjson n "$objects" '.looked >= ([$n, 100000] | min)' > /dev/null
    echo "$(date +%s.%N) - $from" | bc
}
looked=$((objects < 100000 ? objects : 100000))
echo "round  decisions/s from the listing   with tags to fetch"
preview "$listing" > /dev/null; preview "$tags" > /dev/null # warm
for round in $(seq "$rounds"); do
    echo "$round  $(echo "$looked / $(preview "$listing")" | bc)  $(echo "$looked / $(preview "$tags")" | bc)" | tee -a "$work/rounds"
done
median() { awk -v c="$1" '{ print $c }' "$work/rounds" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
echo "median: $(median 2) decisions/s from the listing, $(median 3) with tags"
