#!/usr/bin/env bash
# Runs a node of PostgreSQL as the primary or as its standby. A file that both nodes see names the primary; elsewhere, a failover
# manager such as Patroni keeps this name in a store of its own, and promotes by itself.
#
#   postgres.sh postgres ARGUMENT…   starts the node; this is the entry point
#   postgres.sh promote              makes this standby the primary, once the former primary has ended
#   postgres.sh rejoin               gives up the data of this node, which does not run, and copies that of the primary
set -euo pipefail

# How often something is tried that waits for the other node, with a pause of a second in between.
TRIES=120
NODE=$(hostname)
PRIMARY_IS=/var/lib/postgresql/primary

fail() {
    echo "postgres.sh: $*" >&2
    exit 1
}

# tries COMMAND…: runs it until it succeeds.
tries() {
    local try
    for ((try = 0; try < TRIES; try++)); do
        if "$@"; then return; fi
        sleep 1
    done
    fail "'$*' has not succeeded in $TRIES tries"
}

# Until this process and those that it becomes have ended, no other container touches the data.
lock() {
    exec 9>"$PGDATA.lock"
    flock --nonblock 9 || fail "$NODE runs in another container: stop it first"
}

# The new file replaces the old one as a whole.
name_primary() {
    echo "$NODE" >"$PRIMARY_IS.new"
    mv "$PRIMARY_IS.new" "$PRIMARY_IS"
}

# on HOST SQL…: each is a transaction, or what stands outside of transactions.
on() {
    local host=$1 statement arguments=()
    shift
    for statement in "$@"; do arguments+=(--command="$statement"); done
    PGPASSWORD=$POSTGRES_PASSWORD psql --quiet --no-align --tuples-only --host="$host" --username="$POSTGRES_USER" \
        --dbname="$POSTGRES_DB" --set=ON_ERROR_STOP=1 "${arguments[@]}"
}

copy() {
    rm -rf "$PGDATA.new"
    PGPASSWORD=$POSTGRES_PASSWORD pg_basebackup --pgdata="$PGDATA.new" --checkpoint=fast --write-recovery-conf \
        --dbname="host=$1 user=$POSTGRES_USER application_name=$NODE"
}

# Half a copy is not taken for a whole one, because it has another name.
become_standby_of() {
    tries copy "$1"
    mv "$PGDATA.new" "$PGDATA"
}

start() {
    local primary
    lock
    if [ -n "${MAKES_DATABASE:-}" ] && [ ! -e "$PRIMARY_IS" ]; then name_primary; fi
    tries test -e "$PRIMARY_IS"
    primary=$(<"$PRIMARY_IS")
    if [ "$primary" = "$NODE" ]; then exec docker-entrypoint.sh "$@"; fi
    if [ ! -e "$PGDATA" ]; then become_standby_of "$primary"; fi
    if [ ! -e "$PGDATA/standby.signal" ]; then
        fail "$NODE was the primary before $primary. Its data may differ. Let it copy the new data:" \
            "docker compose --file docker-compose.cluster.yml run --rm $NODE rejoin"
    fi
    exec docker-entrypoint.sh "$@"
}

promote() {
    local primary
    primary=$(<"$PRIMARY_IS")
    if [ "$primary" != "$NODE" ] && pg_isready --quiet --host="$primary"; then
        fail "$primary still runs: stop it first, or two nodes take writes"
    fi
    if [ "$(on 127.0.0.1 "SELECT pg_is_in_recovery()")" != t ]; then fail "$NODE is the primary already"; fi
    # From here on, the former primary does not start any more. If this ends before the promotion, nobody takes writes until it is
    # run again.
    name_primary
    # The new primary has no standby to wait for.
    on 127.0.0.1 "ALTER SYSTEM SET synchronous_standby_names = ''" "SELECT pg_reload_conf()" \
        "SELECT pg_promote(true, $TRIES)" >/dev/null
    echo "$NODE is the primary."
}

rejoin() {
    local primary
    lock
    primary=$(<"$PRIMARY_IS")
    if [ "$primary" = "$NODE" ]; then fail "$NODE is the primary"; fi
    rm -rf "$PGDATA"
    become_standby_of "$primary"
    on "$primary" "ALTER SYSTEM SET synchronous_standby_names = '*'" "SELECT pg_reload_conf()" >/dev/null
    echo "$NODE has the data of $primary. Commits now wait for it: start it."
}

case ${1:-} in
    postgres) start "$@" ;;
    promote) promote ;;
    rejoin) rejoin ;;
    *) fail "there is no '${1:-}', but postgres, promote and rejoin" ;;
esac
