#!/usr/bin/env bash
# Passes all tests: installs what they need where it is missing, builds once, runs every test project, and ends with one line of counts.
# Options of `dotnet build` may follow: bash eng/test.sh -p:GrainEngine=Embedded
set -euo pipefail
cd "$(dirname "$0")/.."

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
export NO_COLOR=1
# A tool that is missing fails its test instead of skipping it.
export DARKSTORAGE_TEST_CLIENTS=required

install_tools() {
    local missing=()
    # Asked by path: a version manager may have put a command of the same name before the distribution's.
    [ -x /usr/bin/aws ] || missing+=(awscli)
    command -v rclone >/dev/null || missing+=(rclone)
    command -v s3cmd >/dev/null || missing+=(s3cmd)
    command -v restic >/dev/null || missing+=(restic)
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    command -v promtool >/dev/null || missing+=(prometheus)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    # The renderer of the Helm chart: a compiler and the packages that helm itself is made of.
    command -v go >/dev/null || missing+=(golang-go)
    local package
    for package in golang-github-masterminds-sprig-dev golang-github-xeipuuv-gojsonschema-dev golang-k8s-sigs-yaml-dev; do
        [ -d "/usr/share/doc/$package" ] || missing+=("$package")
    done
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    # A real S3 server of others, for the connector.
    local daemon
    for daemon in ceph-mon ceph-osd radosgw; do command -v "$daemon" >/dev/null || missing+=("$daemon"); done
    # A clock that a test sets forward.
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(faketime)
    # Servers behind rclone, for the connector.
    [ -x /usr/sbin/sshd ] || missing+=(openssh-server)
    [ -x /usr/sbin/vsftpd ] || missing+=(vsftpd)
    [ -e /usr/lib/nginx/modules/ngx_http_dav_ext_module.so ] || missing+=(nginx-extras)
    # For tests that cut the wires between nodes, which root alone can.
    command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing+=(iproute2)
    command -v nft >/dev/null || [ -x /usr/sbin/nft ] || missing+=(nftables)
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || { echo "Missing: ${missing[*]}; install them, this machine has no apt-get." >&2; return 1; }
    local sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "Installing ${missing[*]}"
    $sudo apt-get update -qq
    if [[ " ${missing[*]} " == *' postgresql '* ]]; then
        # The tests start servers of their own: the package is to make and start none.
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
        $sudo sed -ri 's/^#?create_main_cluster .*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    # The programs are wanted, and not the servers that their packages start: the tests start their own.
    if [ -d /run/systemd/system ]; then
        local served
        for served in prometheus:prometheus openssh-server:ssh vsftpd:vsftpd nginx-extras:nginx; do
            if [[ " ${missing[*]} " == *" ${served%%:*} "* ]]; then $sudo systemctl disable --now --quiet "${served##*:}"; fi
        done
    fi
}

# Azure's emulator, for the connector: a package of npm, in a folder of its version.
install_azurite() {
    local version=3.35.0
    local folder=artifacts/tools/azurite-$version
    [ ! -d "$folder" ] || return 0
    echo "Installing azurite $version"
    rm -rf "$folder.partial"
    npm install --prefix "$folder.partial" --silent --no-audit --no-fund --no-update-notifier --ignore-scripts --save-exact "azurite@$version" >/dev/null
    mv "$folder.partial" "$folder"
}

# A node of IPFS, for the connector: js-ipfs without its command line, its browsers' parts and what would have to be compiled.
install_js_ipfs() {
    local core=0.18.1 server=0.15.1
    local folder=artifacts/tools/js-ipfs-$core
    [ ! -d "$folder" ] || return 0
    echo "Installing js-ipfs $core"
    rm -rf "$folder.partial"
    npm install --prefix "$folder.partial" --silent --no-audit --no-fund --no-update-notifier --ignore-scripts --omit=optional --save-exact "ipfs-core@$core" "ipfs-http-server@$server" >/dev/null
    mv "$folder.partial" "$folder"
}

# An authorization server, for integrations that are authorized by OAuth.
install_oidc_provider() {
    local version=9.13.3
    local folder=artifacts/tools/oidc-provider-$version
    [ ! -d "$folder" ] || return 0
    echo "Installing oidc-provider $version"
    rm -rf "$folder.partial"
    npm install --prefix "$folder.partial" --silent --no-audit --no-fund --no-update-notifier --ignore-scripts --save-exact "oidc-provider@$version" >/dev/null
    mv "$folder.partial" "$folder"
}

# Passed, failed, skipped and errors of one project, from its report; nothing where the report is missing or cut off.
count() {
    local assembly name value
    assembly=$(grep -oE '<assembly [^>]*>' "$1" 2>/dev/null | head -n 1) || return 0
    grep -q '</assemblies>' "$1" || return 0
    for name in passed failed skipped errors; do
        value=$(grep -oE " $name=\"[0-9]+\"" <<<"$assembly" | grep -oE '[0-9]+')
        printf '%s ' "$value"
    done
}

install_tools
# They come over the network while the build has the processors.
(install_azurite; install_js_ipfs; install_oidc_provider) &
packages=$!
echo "Building"
if ! dotnet build Orleans.DarkStorage.sln -c Release -v quiet "$@"; then
    wait "$packages" || true
    echo "The build failed; no test ran."
    echo "0 passed, 1 failed"
    exit 1
fi

# The commit before, for the test of upgrades; without a history there is none, and that test is skipped.
if previous=$(bash eng/upgrade-test.sh --program "$@"); then
    [ -z "$previous" ] || export DARKSTORAGE_TEST_PREVIOUS=$previous
else
    # The test fails then.
    export DARKSTORAGE_TEST_PREVIOUS="silo of the commit before, which did not build"
fi

wait "$packages"

results=artifacts/test-results
rm -rf "$results"
mkdir -p "$results"
passed=0 failed=0 skipped=0

declare -A running

# Starts a test program.
start() {
    local name=$1 title=$2
    shift 2
    nice -n "${niceness:-0}" dotnet "artifacts/bin/$name/release/DarkStorage.$name.dll" -noLogo -noColor -xml "$results/$title.xml" "$@" > "$results/$title.log" 2>&1 &
    running[$title]=$!
}

# Waits for it and adds to the counts.
finish() {
    local title=$1 report=$results/$1.xml log=$results/$1.log exit=0 p='' f='' s='' e=''
    wait "${running[$title]}" || exit=$?
    echo "== $title"
    read -r p f s e <<<"$(count "$report")" || true
    if [ -z "$e" ]; then
        # No report: the runner itself went down, and whatever it ran counts for nothing.
        echo "   $title ended with exit code $exit and left no report."
        tail -n 40 "$log"
        failed=$((failed + 1))
        return
    fi
    if [ "$exit" -ne 0 ]; then
        grep -vE '^ *(at |--- End of stack trace)' "$log" | sed -n '/\[FAIL\]/,$p'
        [ $((f + e)) -gt 0 ] || { echo "   $title ended with exit code $exit though no test failed."; f=1; }
    fi
    echo "   $p passed, $((f + e)) failed, $s skipped"
    passed=$((passed + p)) failed=$((failed + f + e)) skipped=$((skipped + s))
}

run() {
    start "$@"
    finish "$2"
}

# Those that mostly wait, for leases to end and programs to start, run beside each other. Some are through long before the others.
short="Connectors.Tests" long="Engine.Tests Simulation"
# Nothing in them has a time to keep: they run in what Cluster, the first and longest, leaves of the processors.
beside="Deploy Unit"
for name in $beside; do niceness=19 start "$name" "$name"; done
for project in tests/*/*.csproj; do
    # A test project is one that makes a program; the others are libraries of the tests.
    grep -q '<OutputType>Exe</OutputType>' "$project" || continue
    name=$(basename "$project" .csproj)
    [[ " $short $long $beside " == *" $name "* ]] || run "$name" "$name"
done
for name in $beside; do finish "$name"; done
for name in $short $long; do start "$name" "$name"; done
for name in $short; do finish "$name"; done
# Once more, in the room that those have left, with every node's index in PostgreSQL: all but the tests of SQLite's files, and those that have nothing to do with which index it is.
DARKSTORAGE_TEST_INDEX=postgres start Conformance Conformance-PostgreSQL -trait- index=sqlite -trait- index=none
for name in $long Conformance-PostgreSQL; do finish "$name"; done

# A run that found nothing to run proved nothing.
[ $((passed + failed)) -gt 0 ] || failed=1
summary="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || summary="$summary, $skipped skipped"
echo "$summary"
[ "$failed" -eq 0 ]
