#!/usr/bin/env bash
# usage: demo.sh start | stop
#
# The demonstration: a shop's database in a PostgreSQL server of its own, a stand-in
# for Stripe, and pg_cron, which sweeps every minute. `make demo` builds what it needs
# and starts it, `make demo-stop` stops it and removes all that it made. Where this version
# of PostgreSQL has no pg_cron here, the script calls the sweep.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../../.ci/lib
source "$(dirname "${BASH_SOURCE[0]}")/../../.ci/lib"

HERE=$REPO/examples/demo
STATE=$ROOT/demo
CLUSTER=demo
# pg_cron begins with the next full minute; the sweep itself takes some seconds.
PATIENCE=100

# --------------------------------------------------------------------- how it looks

choose_colours() {
    BOLD='' DIM='' RED='' YELLOW='' GREEN='' PLAIN='' IS_TERMINAL=''
    if [[ -t 1 ]]; then IS_TERMINAL=yes; fi
    if [[ $IS_TERMINAL && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
        BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' YELLOW=$'\e[33m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
    fi
}

headline() {
    local rule
    printf -v rule '%*s' 98 ''
    printf '\n%s%s\n  %s\n%s%s\n' "$BOLD" "${rule// /━}" "$1" "${rule// /━}" "$PLAIN"
}

title() { printf '\n%s%s%s  %s%s%s\n\n' "$BOLD$GREEN" "$1" "$PLAIN" "$DIM" "$2" "$PLAIN"; }

text() { printf '  %s\n' "$@"; }

# Shows what the queries in show-$1.sql tell.
show() {
    local output
    output=$(shop -P linestyle=unicode -P border=2 -P footer=off -P pager=off -f "$HERE/show-$1.sql")
    sed -E -e 's/ +$//' -e '/./s/^/  /' \
        -e "s/^(  )(critical)/\1$RED\2$PLAIN/" -e "s/^(  )(warning)/\1$YELLOW\2$PLAIN/" <<<"$output"
}

# ---------------------------------------------------------------------- the database

shop() { PGOPTIONS='-c client_min_messages=warning' PGCLIENTENCODING=UTF8 psql -X -q -v ON_ERROR_STOP=1 -d shop "$@"; }

value() { shop -At -c "$1"; }

# Sets PGHOST, PGPORT and so on.
enter_cluster() {
    local environment
    environment=$("$REPO/.ci/cluster" "$1" $CLUSTER "${@:2}")
    eval "$environment"
}

start_server() {
    enter_cluster start -c cron.database_name=shop
    psql -X -q -d postgres -c 'create database shop'
}

set_up_extension() {
    local key_file
    key_file=$(value 'show data_directory')/stripe.key
    if has_pg_cron; then shop -c 'create extension pg_cron'; fi
    shop <<SQL
create extension invoice_sync;
-- Only the server's own user may read the key.
copy (select 'sk_test_double') to program 'umask 077; cat >$key_file';
alter database shop set invoice_sync.stripe_api_key = 'file:$key_file';
alter database shop set invoice_sync.stripe_api_base = '$STRIPE';
SQL
}

fill_shop() {
    shop -1 -f "$HERE/tables.sql" -f "$HERE/data.sql" >/dev/null
    shop -At -f "$HERE/stripe.sql" | post checkouts >/dev/null
}

# ------------------------------------------------------------- the stand-in for Stripe

start_stand_in() {
    local patience=50 program=${CARGO_TARGET_DIR:-$REPO/target}/debug/stripe-double
    [[ -x $program ]] || die "there is no $program" 'build it with  make build'
    # In a session of its own: it lives on when this script and its terminal are gone.
    setsid "$program" --port-file "$STATE/port" >"$STATE/log" 2>&1 </dev/null &
    echo $! >"$STATE/pid"
    until [[ -e $STATE/port ]]; do
        sleep 0.1
        if ! stand_in_runs || ((patience-- == 0)); then
            die 'the stand-in for Stripe did not start' "$(cat "$STATE/log")"
        fi
    done
    find_stand_in
}

find_stand_in() { STRIPE=http://127.0.0.1:$(cat "$STATE/port"); }

# Posts standard input to the stand-in's control API.
post() {
    curl --silent --show-error --fail-with-body --data-binary @- "$STRIPE/_double/$1"
}

# Whether our process is still what it was: numbers of processes come again.
stand_in_runs() {
    local pid
    pid=$(cat "$STATE/pid" 2>/dev/null) && [[ $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == stripe-double ]]
}

stop_stand_in() {
    local pid patience=50
    while stand_in_runs; do
        pid=$(<"$STATE/pid")
        if ((patience-- > 0)); then kill "$pid"; else kill -9 "$pid"; fi 2>/dev/null || true
        sleep 0.1
    done
}

# ----------------------------------------------------------------------------- pg_cron

has_pg_cron() { [[ $(value "select count(*) from pg_available_extensions where name = 'pg_cron'") == 1 ]]; }

wait_for_pg_cron() {
    local started=$SECONDS state
    if [[ ! $IS_TERMINAL ]]; then text 'pg_cron begins with the next full minute …'; fi
    until [[ $(value "select count(*) from cron.job_run_details where status = 'succeeded'") -gt 0 ]]; do
        state=$(value "select status from cron.job_run_details order by runid desc limit 1")
        [[ $state != failed ]] || die 'the sweep that pg_cron started has failed' \
            "$(value 'select return_message from cron.job_run_details order by runid desc limit 1')"
        ((SECONDS - started < PATIENCE)) || die "pg_cron has not swept within $PATIENCE seconds" \
            "$(tail -n 5 "$INVOICE_SYNC_LOG")"
        tell_of_wait "$state"
        sleep 0.5
    done
    if [[ $IS_TERMINAL ]]; then printf '\r\e[K'; fi
}

# Keeps one line of a terminal up to date.
tell_of_wait() {
    local now
    [[ $IS_TERMINAL ]] || return 0
    case $1 in
        running | starting) printf '\r\e[K  pg_cron has started the sweep, which asks Stripe about some hundred invoices …' ;;
        *)
            printf -v now '%(%s)T' -1
            printf '\r\e[K  pg_cron begins with the next full minute, in %d s …' $((60 - now % 60))
            ;;
    esac
}

# -------------------------------------------------------------------------------- tell

tell_story() {
    headline 'invoice_sync · payments that Stripe took, and a lost webhook kept from the books'
    title BEFORE 'Twelve days ago a deploy broke the webhook endpoint. Customers went on paying.'
    show books
    if has_pg_cron; then
        title 'THE SWEEP' 'pg_cron starts it, inside the database. With a test key: 20 requests a second.'
        wait_for_pg_cron
    else
        title 'THE SWEEP' 'call invoice_sync.run_sweep(). With a test key: 20 requests a second.'
        shop -c 'call invoice_sync.run_sweep()'
    fi
    show run
    title AFTER 'The same table. What is left is among the open issues below.'
    show books
    title 'ONE REPAIR' 'Every change stays on record: invoice_sync.changes'
    show repair
    title 'OPEN ISSUES' 'What cannot be repaired safely is not guessed: invoice_sync.open_issues'
    show issues
    title 'ONCE MORE' 'A second sweep, by hand, finds nothing left to repair.'
    text "$(value "select invoice_sync.sweep() ->> 'message'")" \
        "$(value 'select count(*) from invoice_sync.open_issues') issues are open, none of them twice."
    if has_pg_cron; then
        title 'THE JOB' 'Every minute here, so that you can watch; invoice_sync.schedule() alone means every 15.'
        show job
    fi
}

# What a visitor can do now. Two invoices wait on Stripe's page for their customers.
tell_how_to_try() {
    local first second
    first=$(number_of 'waiting 1')
    second=$(number_of 'waiting 2')

    title 'HAVE A LOOK' 'It runs until  make demo-stop'
    text "psql -h $PGHOST -p $PGPORT -U $PGUSER shop"
    title 'AND TRY' 'Customers pay, and the shop does not hear of it: curl in a shell, the rest in psql.'
    try "1. The customer of $first pays; somebody in the office presses the button." \
        "curl -s $STRIPE/_double/actions -d '{\"action\":\"pay\",\"id\":\"cs_test_waiting_1\"}'" \
        'select jsonb_pretty(invoice_sync.sync_invoice(id))' \
        "from invoices where invoice_number = '$first';"
    try "2. The customer of $second pays. What would a sweep do?" \
        "curl -s $STRIPE/_double/actions -d '{\"action\":\"pay\",\"id\":\"cs_test_waiting_2\"}'" \
        "select jsonb_pretty(invoice_sync.sweep(dry_run => true) #> '{details,fixed}');"
    has_pg_cron || return 0
    try '3. Nobody does anything: at the next full minute the invoice is Paid.' \
        "select invoice_status, amount_paid from invoices where invoice_number = '$second' \\watch 5"
}

number_of() { value "select invoice_number from invoices where id = md5('invoice $1')::uuid"; }

try() {
    printf '  %s%s%s\n' "$BOLD" "$1" "$PLAIN"
    printf '     %s\n' "${@:2}"
    printf '\n'
}

# ------------------------------------------------------------------------ start, stop

is_running() {
    stand_in_runs && enter_cluster env 2>/dev/null && psql -X -q -d shop -c '' 2>/dev/null
}

start() {
    if is_running; then
        find_stand_in
        headline 'invoice_sync · the demonstration is running already'
        title 'THE LAST RUNS' 'The newest first: invoice_sync.recent_runs'
        show latest
        tell_how_to_try
        text 'For a fresh one:  make demo-stop demo'
        return
    fi
    stop
    trap give_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir "$STATE"
    start_stand_in
    start_server
    set_up_extension
    fill_shop
    if has_pg_cron; then value "select invoice_sync.schedule('* * * * *')" >/dev/null; fi
    tell_story
    tell_how_to_try
    trap - EXIT
}

give_up() {
    local status=$?
    note 'the demonstration is not complete; removing it'
    stop
    exit "$status"
}

# Also after a crash, or where nothing runs.
stop() {
    stop_stand_in
    if [[ -d $ROOT/clusters/$CLUSTER ]]; then "$REPO/.ci/cluster" stop $CLUSTER; fi
    rm -rf "$STATE"
}

choose_colours
case ${1:-} in
    start) start ;;
    stop)
        if [[ -d $STATE || -d $ROOT/clusters/$CLUSTER ]]; then stop; else note 'it was not running'; fi
        ;;
    *) die 'usage: demo.sh start | stop' ;;
esac
