# Sourced by what measures nodes that it starts itself, at the root of the repository: they, and the folder "$work", end with the script.
work=$(mktemp -d)
nodes=()
network=
trap 'kill "${nodes[@]}" 2>/dev/null || true; wait; [ -z "$network" ] || ip netns delete "$network"; rm -rf "$work"' EXIT
export DARKSTORAGE_ROOT_ACCESS_KEY=benchmark DARKSTORAGE_ROOT_SECRET_KEY=benchmark-secret-key DARKSTORAGE_ACCESS_KEY=benchmark DARKSTORAGE_SECRET_KEY=benchmark-secret-key
export AWS_ACCESS_KEY_ID=benchmark AWS_SECRET_ACCESS_KEY=benchmark-secret-key AWS_DEFAULT_REGION=us-east-1

start() { # name, port for S3, port for management, its address if not loopback, and what to run it with: returns when it takes requests
    local address=${4:-127.0.0.1}
    "${@:5}" dotnet artifacts/bin/Silo/release/darkstorage-silo.dll --data "$work/$1" --s3-url "http://$address:$2" --management-url "http://$address:$3" > "$work/$1.log" 2>&1 &
    nodes+=($!)
    until curl -sf "http://$address:$3/health/ready" > /dev/null; do sleep 0.2; done
}

connect() { # megabits a second: a network of its own ("$network", at 10.213.77.2), which sends no faster. As root
    network=darkstorage-$$
    ip netns add "$network"
    ip link add "ds$$" type veth peer name inside netns "$network"
    ip address add 10.213.77.1/30 dev "ds$$"
    ip link set "ds$$" up
    ip -n "$network" address add 10.213.77.2/30 dev inside
    ip -n "$network" link set inside up
    ip -n "$network" link set lo up
    tc -n "$network" qdisc add dev inside root tbf rate "$1mbit" burst 1mb latency 20ms
}

admin() { # as curl, of a management API
    curl -sf -u benchmark:benchmark-secret-key -H 'Content-Type: application/json' "$@"
}

median() { # of a column of "$work/rounds"
    awk -v c="$1" '{ print $c }' "$work/rounds" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
