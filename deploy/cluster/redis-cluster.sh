#!/bin/sh
# Makes a cluster of the nodes of Redis that are named, the first half of them with a stretch of the slots each, the others as their
# replicas. If they are a cluster already, it tells each where the others are now, because addresses of containers change.
set -eu

PORT=6379
# How often it is looked whether the cluster works, with a pause of a second in between.
TRIES=60

address() {
    getent hosts "$1" | cut -d' ' -f1
}

# Whether every slot has a primary that this node sees.
works() {
    redis-cli -h "$1" CLUSTER INFO | grep -q '^cluster_state:ok'
}

is_cluster() {
    redis-cli -h "$1" CLUSTER INFO | grep -q '^cluster_slots_assigned:16384'
}

create() {
    addresses=
    for node in "$@"; do addresses="$addresses $(address "$node"):$PORT"; done
    # Each address is a word of its own.
    # shellcheck disable=SC2086
    redis-cli --cluster create $addresses --cluster-replicas 1 --cluster-yes
}

introduce() {
    for node in "$@"; do
        for other in "$@"; do
            if [ "$other" != "$node" ]; then redis-cli -h "$node" CLUSTER MEET "$(address "$other")" "$PORT" >/dev/null; fi
        done
    done
}

if is_cluster "$1"; then introduce "$@"; else create "$@"; fi

for node in "$@"; do
    try=0
    until works "$node"; do
        try=$((try + 1))
        if [ "$try" -ge "$TRIES" ]; then
            echo "redis-cluster.sh: $node does not see a whole cluster:" >&2
            redis-cli -h "$node" CLUSTER NODES >&2
            exit 1
        fi
        sleep 1
    done
done
