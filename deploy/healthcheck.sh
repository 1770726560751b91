#!/bin/bash
# Asks a node's management port, without any tool that an image would have to bring: bash speaks TCP by itself. For container health checks.
#   healthcheck.sh [ready|live] [PORT]       ends with 0 where GET /health/ready (or /live) answers 200
what=${1:-ready} port=${2:-9001}
[[ $what =~ ^(ready|live)$ && $port =~ ^[0-9]{1,5}$ ]] || { echo "It is healthcheck.sh [ready|live] [PORT]." >&2; exit 2; }
exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
printf 'GET /health/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$what" >&3 || exit 1
read -r -t 5 _ status _ <&3 || exit 1
[ "$status" = 200 ]
