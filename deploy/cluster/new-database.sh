#!/bin/sh
# Runs once, in the node that makes the database: lets a standby copy it, and makes every commit wait for the standby.
set -eu
echo "host replication all samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
# The setting counts from the next start on. Until then, there is no standby to wait for.
psql --quiet --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --command="ALTER SYSTEM SET synchronous_standby_names = '*'"
