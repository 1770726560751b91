#!/usr/bin/env bash
# What it costs a read that accesses are counted: GETs of small objects of one node, from two buckets that differ in nothing but that, in turns. Each round begins with the other one, as whoever is first is quicker: so there is an even number of them.
#   dotnet build -c Release && bash benchmarks/Accesses/run.sh [ROUNDS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=$(((${1:-8} + 1) / 2 * 2)) seconds=${2:-10}
source benchmarks/node.sh
s3=http://127.0.0.1:9310 management=http://127.0.0.1:9311
start node 9310 9311
load() { # bucket, further options: requests a second
    dotnet artifacts/bin/Load/release/DarkStorage.Load.dll run --url $s3 --bucket "$1" --objects 10000 --size 4096 --mix get "${@:2}" | sed -nE 's|^([0-9,]+) requests/s.*|\1|p' | tr -d ,
}
for bucket in plain counted; do load $bucket --prepare --seconds 5 > /dev/null; done
admin -X PUT $management/v1/lifecycle/counted/accesses -d '{"counted":true}' > /dev/null

echo "round  plain/s  counted/s"
for round in $(seq "$rounds"); do
    if [ $((round % 2)) -eq 1 ]; then plain=$(load plain --seconds "$seconds"); counted=$(load counted --seconds "$seconds")
    else counted=$(load counted --seconds "$seconds"); plain=$(load plain --seconds "$seconds"); fi
    echo "$round  $plain  $counted" | tee -a "$work/rounds"
done
awk '{ sum += log($3 / $2); plain += $2; counted += $3 } END { printf "mean: %d GETs/s plain, %d counted; geometric mean of the ratios %.1f %%\n", plain / NR, counted / NR, 100 * exp(sum / NR) }' "$work/rounds"
curl -sf $management/metrics | grep darkstorage_accesses || true
