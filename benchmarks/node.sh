# Sourced by what measures nodes that it starts itself, at the root of the repository: they, and the folder "$work", end with the script.
work=$(mktemp -d)
nodes=()
trap 'kill "${nodes[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
export DARKSTORAGE_ROOT_ACCESS_KEY=benchmark DARKSTORAGE_ROOT_SECRET_KEY=benchmark-secret-key DARKSTORAGE_ACCESS_KEY=benchmark DARKSTORAGE_SECRET_KEY=benchmark-secret-key
export AWS_ACCESS_KEY_ID=benchmark AWS_SECRET_ACCESS_KEY=benchmark-secret-key AWS_DEFAULT_REGION=us-east-1

start() { # name, port for S3, port for management: returns when it takes requests
    dotnet artifacts/bin/Silo/release/darkstorage-silo.dll --data "$work/$1" --s3-url "http://127.0.0.1:$2" --management-url "http://127.0.0.1:$3" > "$work/$1.log" 2>&1 &
    nodes+=($!)
    until curl -sf "http://127.0.0.1:$3/health/ready" > /dev/null; do sleep 0.2; done
}

admin() { # as curl, of a management API
    curl -sf -u benchmark:benchmark-secret-key -H 'Content-Type: application/json' "$@"
}

median() { # of a column of "$work/rounds"
    awk -v c="$1" '{ print $c }' "$work/rounds" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
