#!/usr/bin/env bash
# How many versions a lifecycle run decides on in a second: a node with many small objects, and policies that are tried out on all of them (a preview reads and decides as a run does).
#   dotnet build -c Release && bash benchmarks/Decisions/run.sh [OBJECTS] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
objects=${1:-100000} rounds=${2:-5}
source benchmarks/node.sh
s3=http://127.0.0.1:9310 management=http://127.0.0.1:9311
start node 9310 9311
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
echo "median: $(median 2) decisions/s from the listing, $(median 3) with tags"
