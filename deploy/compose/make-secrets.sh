#!/usr/bin/env bash
# Makes the secrets of the compose file, those that are not there yet, in the folder `secrets` beside it or the one that is named. Keep a copy of cluster-secret with the backups:
# without it the keys of users are lost.
#   make-secrets.sh [DIR]
set -euo pipefail
dir=${1:-$(cd "$(dirname "$0")" && pwd)/secrets}
mkdir -p "$dir"
# Compose hands the files over as they are, and the programs behind run as users of their own: they are readable, and the folder is what keeps others out.
chmod 0700 "$dir"
umask 0333
random() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '='; }
make() { [ -e "$dir/$1" ] || { printf '%s\n' "$2" > "$dir/$1"; chmod 0444 "$dir/$1"; echo "made $dir/$1"; }; }
make cluster-secret "$(random 48)"
make root-access-key "root-$(random 9 | tr -d '_-')"
make root-secret-key "$(random 30)"
make postgres-password "$(random 24)"
make database-password "$(random 24)"
make pgpass "*:*:*:darkstorage:$(cat "$dir/database-password")"
