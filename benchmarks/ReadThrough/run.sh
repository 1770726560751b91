#!/usr/bin/env bash
# How reading an object that is outside compares with the place it is in: two nodes on this machine, the first with a tier in a bucket of the second. Each round reads 1 GiB once from the second node itself (the blob
# as it lies there), and once through the first. Prints milliseconds to the first byte, and MB/s; and at the end the ratio of the medians.
#   dotnet build -c Release && bash benchmarks/ReadThrough/run.sh [ROUNDS] [MEGABITS]
# With MEGABITS, and as root, the second node is behind a link of that rate, as a place mostly is; without, both share the processors of this machine and nothing else bounds them.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-7} megabits=${2:-}
source benchmarks/node.sh
front=http://127.0.0.1:9310 place=http://127.0.0.1:9320
if [ -n "$megabits" ]; then place=http://10.213.77.2:9320; fi

darkstorage() { DARKSTORAGE_URL=http://127.0.0.1:9311 DARKSTORAGE_S3_URL=$front dotnet artifacts/bin/Cli/release/darkstorage.dll "$@" > /dev/null; }

start front 9310 9311
if [ -n "$megabits" ]; then
    connect "$megabits"
    start place 9320 9321 10.213.77.2 ip netns exec "$network"
else
    start place 9320 9321
fi
head -c 1073741824 /dev/urandom > "$work/object"
aws --endpoint-url $place s3 mb s3://outside > /dev/null
darkstorage mb darkstorage://objects
darkstorage integrations add s3 --name other --preset darkstorage --endpoint $place --bucket outside --access-key benchmark --secret-key benchmark-secret-key
darkstorage tiers configure cold --backend other
darkstorage cp "$work/object" darkstorage://objects/object
darkstorage tiers assign darkstorage://objects/object --tier cold --wait
blob=$(aws --endpoint-url $place s3api list-objects-v2 --bucket outside --prefix objects/ --query 'Contents[0].Key' --output text)

read_once() { curl -s -o /dev/null -w '%{time_starttransfer} %{size_download} %{time_total}\n' "$1" | awk '{ printf "%.1f %.0f\n", $1 * 1000, $2 / $3 / 1e6 }'; }

direct=$(aws --endpoint-url $place s3 presign "s3://outside/$blob" --expires-in 3600)
through=$(aws --endpoint-url $front s3 presign s3://objects/object --expires-in 3600)
for url in "$direct" "$through"; do read_once "$url" > /dev/null; done # warm
echo "round  place: ms MB/s   through: ms MB/s"
for round in $(seq "$rounds"); do
    read -r place_ms place_rate <<< "$(read_once "$direct")"
    read -r through_ms through_rate <<< "$(read_once "$through")"
    echo "$round  $place_ms $place_rate  $through_ms $through_rate" | tee -a "$work/rounds"
done
echo "median: first byte $(median 2) ms at the place, $(median 4) ms through; $(median 3) MB/s at the place, $(median 5) MB/s through: $(awk -v a="$(median 5)" -v b="$(median 3)" 'BEGIN { printf "%.0f %%", 100 * a / b }')"
