#!/usr/bin/env bash
# Upgrades a cluster of an earlier version node by node, under load: builds the silo of that commit, then runs UpgradeTests of tests/Cluster with it.
#   bash eng/upgrade-test.sh [COMMIT] [options of dotnet build]     COMMIT: the one before by default, HEAD~1 by first parent
#   bash eng/upgrade-test.sh --program [COMMIT] [options]           builds the earlier program alone, and prints its path; nothing where there is no such commit
# The earlier program is kept under artifacts/previous, so that a second run need not build it.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

only_program=
if [ "${1-}" = --program ]; then only_program=1; shift; fi
wanted=HEAD~1
if [ $# -gt 0 ] && [[ $1 != -* ]]; then wanted=$1; shift; fi

# Prints the path of the program of a commit.
program_of() {
    local commit=$1 engine kept work option properties=()
    shift
    for option; do [[ $option != -p:* ]] || properties+=("$option"); done
    # The engines do not talk to each other: the earlier program is to have the one that this one has.
    engine=$(dotnet msbuild silo/Silo.csproj -getProperty:GrainEngine ${properties[@]+"${properties[@]}"})
    kept=$PWD/artifacts/previous/$commit-$engine
    if [ ! -f "$kept/darkstorage-silo.dll" ]; then
        work=$(mktemp -d)
        # shellcheck disable=SC2064  # its value now: the trap runs at the end of the subshell, where the variable is no more
        trap "rm -rf '$work'" EXIT
        git archive "$commit" | tar -x -C "$work"
        echo "Building the silo of $commit" >&2
        (cd "$work" && dotnet build silo/Silo.csproj -c Release -v quiet -p:RunAnalyzers=false -p:GrainEngine="$engine" ${properties[@]+"${properties[@]}"} >&2) || return 1
        rm -rf "$kept.new" "$kept"
        mkdir -p "$PWD/artifacts/previous"
        cp -r "$work/artifacts/bin/Silo/release" "$kept.new"
        mv "$kept.new" "$kept"
    fi
    echo "$kept/darkstorage-silo.dll"
}

if ! commit=$(git rev-parse --verify --quiet "$wanted^{commit}" 2>/dev/null); then
    [ -z "$only_program" ] || exit 0
    echo "There is no commit $wanted in this history." >&2
    exit 1
fi
# From before there were clusters nothing can be upgraded node by node.
if ! git cat-file -e "$commit:silo/Cluster/ClusterMember.cs" 2>/dev/null; then
    [ -z "$only_program" ] || exit 0
    echo "$wanted has no clusters." >&2
    exit 1
fi
program=$(program_of "$commit" "$@")
if [ -n "$only_program" ]; then
    echo "$program"
    exit 0
fi
dotnet build tests/Cluster/Cluster.csproj -c Release -v quiet "$@"
DARKSTORAGE_TEST_PREVIOUS=$program exec dotnet artifacts/bin/Cluster/release/DarkStorage.Cluster.dll -noLogo -noColor -class '*UpgradeTests' -showLiveOutput
