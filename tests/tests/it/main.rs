//! The whole-system tests, as one program: linking one for each file took longer than running them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api_description;
mod bad_input;
mod bounds;
mod chaos;
mod compose;
mod cors;
mod counters;
mod crash_points;
mod database_rights;
mod dead_letters;
mod documents;
mod eventctl;
mod failovers;
mod formats;
mod help;
mod hostile_clients;
mod keys;
mod kubernetes;
mod ledger_model;
mod limits;
mod logging;
mod metrics;
mod mutations;
mod page;
mod pgbouncer;
mod postgres_trouble;
mod problems;
mod prometheus;
mod protocol_model;
mod queue_contract;
mod redis_trouble;
mod replay_memory;
mod rolling_upgrade;
mod round_trip;
mod sql_for_people;
mod sqlite_trouble;
mod standalone_deaths;
mod start_and_stop;
mod store_contract;
mod tls;
mod upgrade;
mod whole_system;
