//! The commands and their options.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::values::{TimeSpan, number_within, within};

/// The largest number of events in one request; a server takes 10000 unless it is set to another number.
const BATCH: RangeInclusive<u64> = 1..=10_000;
/// The largest number of requests at the same time.
const CONNECTIONS: RangeInclusive<u64> = 1..=256;
/// The largest number of topics in a simulation.
const TOPICS: RangeInclusive<u64> = 1..=1000;
/// The largest payload of a simulation; a server takes events of 256 KiB unless it is set to another size.
const PAYLOAD_BYTES: RangeInclusive<u64> = 0..=200_000;
/// With a larger share of duplicates, a simulation would hardly send a new event.
const DUPLICATES: RangeInclusive<f64> = 0.0..=0.99;
/// No server takes more.
const RATE: RangeInclusive<f64> = 0.0..=1_000_000.0;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish events from a file or from standard input
    Publish(PublishArgs),
    /// Send made-up events as unreliable clients do, and check that the counters are exact
    Simulate(SimulateArgs),
    /// Show the counters
    Stats(StatsArgs),
    /// List stored events, oldest first
    Events(EventsArgs),
    /// List, show, replay or delete dead letters: what could not be stored
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Check that the counters of the server agree with each other and with the events that it lists
    Verify(VerifyArgs),
    /// Print a script that lets a shell complete this command line
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How to publish.
#[derive(Debug, Clone, Args)]
#[command(after_help = PUBLISH_HELP)]
pub struct PublishArgs {
    /// The file with the events; `-` stands for standard input
    #[arg(value_name = "FILE")]
    pub input: PathBuf,

    /// Send at most this many events in one request
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = within::<u16>(BATCH))]
    pub batch: u16,

    /// Send this many requests at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = within::<u16>(CONNECTIONS))]
    pub connections: u16,

    /// Compress requests with gzip
    #[arg(long)]
    pub gzip: bool,

    /// Use the SHA-256 of its content as the id of an event that has none
    #[arg(long)]
    pub id_from_content: bool,

    /// Record the progress in this file, and continue from the progress that it holds
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,

    /// Write each refused event to this file, as NDJSON with its line, the reason, and its text
    #[arg(long, value_name = "FILE")]
    pub refused: Option<PathBuf>,
}

const PUBLISH_HELP: &str = "\
    FILE holds one event per line (NDJSON), a JSON array of events, an object {\"events\":[…]}, or events that span several \
    lines each. It may be compressed with gzip. CSV must be converted first.\n\n\
    To send events again is safe: the server stores an event once for each topic and event_id. So you can publish a file \
    twice, and you can repeat a run that was interrupted, with or without --resume.\n\n\
    --id-from-content makes the id from the topic, the timestamp, the source and the payload: it is the SHA-256, in \
    hexadecimal, of [topic,timestamp,source,payload] as JSON without white space. An absent member counts as null, the \
    members of objects are sorted by name, and numbers stay as they are written.";

/// How to simulate.
#[derive(Debug, Clone, Args)]
#[command(after_help = SIMULATE_HELP)]
pub struct SimulateArgs {
    /// Send this many deliveries, duplicates included; 0 sends until --duration is over or a signal arrives
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub events: u64,

    /// Repeat earlier events in this share of the deliveries, from 0 to 0.99
    #[arg(long, default_value_t = 0.3, value_name = "SHARE", value_parser = duplicates)]
    pub duplicates: f64,

    /// Send events of this many topics
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = within::<u16>(TOPICS))]
    pub topics: u16,

    /// Send at most this many events in one request
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = within::<u16>(BATCH))]
    pub batch: u16,

    /// Send this many requests at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = within::<u16>(CONNECTIONS))]
    pub connections: u16,

    /// Send at most this many deliveries a second; 0 sends as many as the server takes [default: 0 with --events, else 100]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub rate: Option<f64>,

    /// Stop sending after this time, as in 90s, 5m or 2h
    #[arg(long, value_name = "TIME")]
    pub duration: Option<TimeSpan>,

    /// Make the events, and their order, from this number [default: random]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Fill payloads up to about this size
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = within::<usize>(PAYLOAD_BYTES))]
    pub payload_bytes: usize,

    /// Wait at most this long for the servers to count what they have accepted
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub settle: TimeSpan,
}

const SIMULATE_HELP: &str = "\
    At the end, the counters are compared with what was sent. Only the difference since the start counts, so the server need \
    not be empty, but no other client should publish meanwhile. When an answer was lost, nobody can know whether the request \
    was counted; then the expected number is a range. A run without --events ends with exit code 0 on a signal.\n\n\
    The events stay on the server, because there is no call that removes events. The first lines say how much that will be.";

/// How to show the counters.
#[derive(Debug, Clone, Args)]
pub struct StatsArgs {
    /// Show the counters again and again, with rates, until Ctrl-C
    #[arg(long)]
    pub watch: bool,

    /// With --watch: read the counters at this interval
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub interval: TimeSpan,
}

/// Which events to list.
#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    /// List only events of this topic
    #[arg(long)]
    pub topic: Option<String>,

    /// List only events of this source
    #[arg(long)]
    pub source: Option<String>,

    /// List only events with this timestamp or a later one, as in 2026-01-01T12:00:00Z
    #[arg(long, value_name = "TIMESTAMP")]
    pub since: Option<String>,

    /// List only events with an earlier timestamp
    #[arg(long, value_name = "TIMESTAMP")]
    pub until: Option<String>,

    /// List at most this many events [default: 100; with --follow: no limit]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// List the last N events, in the order in which they were stored
    #[arg(long, value_name = "N", conflicts_with = "limit", value_parser = within::<u16>(TAIL))]
    pub tail: Option<u16>,

    /// Also list the events that are stored from now on, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

/// How many events `--tail` may ask for, because they are kept until all are read.
const TAIL: std::ops::RangeInclusive<u64> = 1..=10_000;

impl EventsArgs {
    /// How many events are listed, unless the command line says otherwise.
    pub const DEFAULT_LIMIT: u64 = 100;
}

/// What to do with dead letters.
#[derive(Debug, Clone, Subcommand)]
pub enum DeadLettersCommand {
    /// List dead letters, oldest first
    List {
        /// List at most this many
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u64,
    },
    /// Show one dead letter in full
    Show {
        /// Its id
        id: i64,
    },
    /// Try again to store dead letters
    Replay {
        /// Their ids
        #[arg(required_unless_present = "all")]
        ids: Vec<i64>,
        /// Replay all
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Tell what would happen, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete the content of dead letters; they stay counted
    Delete {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}

/// What to verify.
#[derive(Debug, Clone, Args)]
#[command(after_help = VERIFY_HELP)]
pub struct VerifyArgs {
    /// Do not count the events one by one, which needs a server to which nobody publishes meanwhile
    #[arg(long)]
    pub counters_only: bool,
}

const VERIFY_HELP: &str = "\
    This checks that received = unique + duplicates + dead letters, and that the sum of the topics = unique. While nothing \
    arrives, it also checks that the number of listed events = unique, in total and in each topic.\n\n\
    That is all that can be seen over HTTP. It does not prove that every accepted event is stored, nor that the counters agree \
    with the rows of the database in one snapshot. `aggregator verify`, or `event-aggregator verify` for the standalone server, \
    compares those; run it where the database is.";

fn duplicates(text: &str) -> Result<f64, String> {
    number_within(text, &DUPLICATES)
}

fn rate(text: &str) -> Result<f64, String> {
    number_within(text, &RATE)
}
