#!/usr/bin/env bash
# usage: demo-ui.sh start | stop
#
# The demonstration of examples/demo with the admin page: an RPC gateway in front of its
# database, and the page. `make demo-ui` builds what it needs and starts it; `make demo-ui-stop`
# ends the page and the gateway, then the demonstration.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../../.ci/lib
source "$(dirname "${BASH_SOURCE[0]}")/../../../.ci/lib"

PAGE=$REPO/examples/admin-ui
DEMO=$REPO/examples/demo/demo.sh
STATE=$ROOT/demo-ui

# Starts "${@:2}" in a session of its own, so that it outlives this script, and notes its number.
start_program() {
    setsid "${@:2}" >"$STATE/$1.log" 2>&1 </dev/null &
    echo $! >"$STATE/$1.pid"
}

# Whether it is still the program that we started: numbers of processes come again.
runs() {
    local pid
    pid=$(cat "$STATE/$1.pid" 2>/dev/null) && [[ $pid && $(tr '\0' ' ' <"/proc/$pid/cmdline") == *"$2"* ]]
} 2>/dev/null

stop_program() {
    local patience=50 pid
    while runs "$1" "$2"; do
        pid=$(<"$STATE/$1.pid")
        if ((patience-- > 0)); then kill "$pid"; else kill -9 "$pid"; fi 2>/dev/null || true
        sleep 0.1
    done
}

wait_for() {
    local patience=300
    until curl --silent --fail --output /dev/null "$2"; do
        ((patience-- > 0)) || die "the $1 did not start" "$(tail -n 5 "$STATE/$1.log")"
        sleep 0.1
    done
}

with_node() { "$REPO/.ci/page" with node "$@"; }

free_port() {
    with_node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

start_gateway() {
    GATEWAY_PORT=$(free_port)
    start_program gateway env -i "PATH=$PATH" PGRST_COMPAT_MODE=true \
        DATABASE_URL="postgres://authenticator:authenticator@127.0.0.1:$PGPORT/shop" \
        PGRST_DB_SCHEMAS=invoice_sync,public PGRST_DB_ANON_ROLE=anon PGRST_JWT_SECRET="$SECRET" \
        PGRST_ROLE_SETTINGS='{"authenticated": {"statement_timeout": 8000}}' \
        PGRST_SERVER_HOST=127.0.0.1 PGRST_SERVER_PORT="$GATEWAY_PORT" "$INVOICE_SYNC_GATEWAY"
    wait_for gateway "http://127.0.0.1:$GATEWAY_PORT/_/ready"
}

start_page() {
    PAGE_PORT=$(free_port)
    DEMO_GATEWAY=http://127.0.0.1:$GATEWAY_PORT DEMO_JWT_SECRET=$SECRET \
        DEMO_STRIPE=http://127.0.0.1:$(<"$ROOT/demo/port") \
        DEMO_DATABASE="postgres:///shop?host=$PGHOST&port=$PGPORT&user=$PGUSER" \
        start_program page "$REPO/.ci/page" with node "$PAGE/node_modules/vite/bin/vite.js" preview "$PAGE" --port "$PAGE_PORT" --strictPort
    wait_for page "http://127.0.0.1:$PAGE_PORT/"
    echo "http://127.0.0.1:$PAGE_PORT/" >"$STATE/address"
}

prepare_shop() {
    local environment
    environment=$("$REPO/.ci/cluster" env demo)
    eval "$environment"
    psql -X -q -d shop -v ON_ERROR_STOP=1 -f "$PAGE/demo/roles.sql" -f "$PAGE/demo/rights.sql" >/dev/null
}

start() {
    "$DEMO" start
    stop_page
    mkdir "$STATE"
    trap give_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # Whoever knows it may sign tokens; it is made anew with each start.
    SECRET=$(head -c 32 /dev/urandom | base64)
    prepare_shop
    start_gateway
    start_page
    trap - EXIT
    say "the admin page is at $(<"$STATE/address")"
    note 'sign in with what is filled in; then Demo, Lose a webhook'
    note 'and press Sync Stripe, or wait for the next full minute'
    note 'it runs until  make demo-ui-stop'
}

give_up() {
    local status=$?
    note 'the page could not be started; ending what was'
    stop_page
    exit "$status"
}

stop_page() {
    stop_program page vite/bin/vite.js
    stop_program gateway postrust
    rm -rf "$STATE"
}

case ${1:-} in
    start) start ;;
    stop)
        stop_page
        "$DEMO" stop
        ;;
    *) die 'usage: demo-ui.sh start | stop' ;;
esac
