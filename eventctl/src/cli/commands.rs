//! The commands and their options.

use std::{ops::RangeInclusive, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use event_aggregator_client::TopicOrder;

use super::values::{Moment, TimeSpan, number_within, within};

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
    /// Publish one event, whose payload is given as key=value
    Send(SendArgs),
    /// Show the counters
    Stats(StatsArgs),
    /// List topics with their counters
    Topics(TopicsArgs),
    /// List stored events: the last ones, those since a moment, or those from now on
    Events(EventsArgs),
    /// Show one event
    Event(EventArgs),
    /// List, show, replay or delete dead letters: what could not be stored
    #[command(subcommand, after_help = DEAD_LETTERS_HELP)]
    DeadLetters(DeadLettersCommand),
    /// Check that the counters of the server agree with each other and with the events that it lists
    Verify(VerifyArgs),
    /// Wait until the servers accept and store events
    #[command(
        after_help = "Examples:\n  eventctl ready\n  eventctl ready --patience 5m && ./load-events"
    )]
    Ready,
    /// Give servers names: eventctl --profile NAME then speaks to them
    #[command(subcommand, after_help = PROFILE_HELP)]
    Profile(ProfileCommand),
    /// Print a script that lets a shell complete this command line
    #[command(
        after_help = "Examples:\n  eventctl completions bash > ~/.local/share/bash-completion/completions/eventctl\n  eventctl completions zsh > \"${fpath[1]}/_eventctl\""
    )]
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

    /// Store the events at once (POST /ingest of the aggregator), and tell new events from duplicates
    #[arg(long)]
    pub ingest: bool,

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
    members of objects are sorted by name, and numbers stay as they are written.\n\n\
    Examples:\n  \
    eventctl publish events.ndjson\n  \
    zcat access.log.gz | ./to-json | eventctl publish - --id-from-content\n  \
    eventctl publish events.ndjson --resume events.progress --refused refused.ndjson\n  \
    eventctl publish events.ndjson --ingest";

/// The event to send.
#[derive(Debug, Clone, Args)]
#[command(after_help = SEND_HELP)]
pub struct SendArgs {
    /// Its topic
    pub topic: String,

    /// Its payload: key=value is a text, key:=value is JSON, and points make objects, as in user.name=Ada
    #[arg(value_name = "KEY=VALUE")]
    pub payload: Vec<String>,

    /// Its id; an event with an id that is stored already is a duplicate [default: a new one]
    #[arg(long)]
    pub id: Option<String>,

    /// Who sends it
    #[arg(long)]
    pub source: Option<String>,

    /// When it happened, as in 2026-11-26T12:00:00Z [default: now]
    #[arg(long)]
    pub timestamp: Option<String>,
}

const SEND_HELP: &str = "\
    Examples:\n  \
    eventctl send orders customer=Ada total:=12.50\n  \
    eventctl send orders --id o-1 customer.name=Ada 'items:=[\"book\"]'";

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
    The events stay on the server, because there is no call that removes events. The first lines say how much that will be.\n\n\
    Examples:\n  \
    eventctl simulate --events 20000\n  \
    eventctl simulate --rate 50 --duration 10m --duplicates 0.5";

/// How to show the counters.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  eventctl stats\n  eventctl stats --watch\n  eventctl stats --json | jq .unique_processed"
)]
pub struct StatsArgs {
    /// Show the counters again and again, with rates, until Ctrl-C
    #[arg(long)]
    pub watch: bool,

    /// With --watch: read the counters at this interval
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub interval: TimeSpan,
}

/// Which topics to list.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  eventctl topics\n  eventctl topics --order recent --limit 5\n  eventctl topics --prefix logs/ --json"
)]
pub struct TopicsArgs {
    /// List only topics that begin with this text
    #[arg(long)]
    pub prefix: Option<String>,

    /// Which come first
    #[arg(long, value_enum, default_value_t = TopicsOrder::Count)]
    pub order: TopicsOrder,

    /// List at most this many
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: u64,
}

/// Which topics come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TopicsOrder {
    /// By name
    Name,
    /// The topic with the most events
    Count,
    /// The topic with the latest delivery
    Recent,
}

impl From<TopicsOrder> for TopicOrder {
    fn from(order: TopicsOrder) -> Self {
        match order {
            TopicsOrder::Name => Self::Name,
            TopicsOrder::Count => Self::Count,
            TopicsOrder::Recent => Self::Recent,
        }
    }
}

/// Which event to show.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  eventctl event orders o-1\n  eventctl event orders o-1 --json | jq .payload"
)]
pub struct EventArgs {
    /// Its topic
    pub topic: String,

    /// Its id
    #[arg(value_name = "EVENT_ID")]
    pub event_id: String,
}

/// What to do with profiles.
#[derive(Debug, Clone, Subcommand)]
pub enum ProfileCommand {
    /// Keep --url, --read-url, --key and --ca-cert under a name
    #[command(
        after_help = "Examples:\n  eventctl profile add test --url http://test.example:8080\n  EVENTCTL_KEY=… eventctl profile add prod --url https://publish.example --read-url https://read.example"
    )]
    Add {
        /// The name
        name: String,
    },
    /// List the profiles, without their keys
    #[command(after_help = "Examples:\n  eventctl profile list")]
    List,
    /// Remove a profile
    #[command(after_help = "Examples:\n  eventctl profile remove test")]
    Remove {
        /// Its name
        name: String,
    },
}

const PROFILE_HELP: &str = "\
    Profiles are kept in eventctl/profiles.toml in the folder for configuration (XDG_CONFIG_HOME, or .config at home). Only its \
    owner can read the file, because it may hold keys.\n\n\
    Examples:\n  \
    eventctl profile add prod --url https://publish.example --read-url https://read.example\n  \
    EVENTCTL_KEY=… eventctl profile add prod --url https://events.example\n  \
    eventctl --profile prod stats";

/// Which events to list.
#[derive(Debug, Clone, Args)]
#[command(after_help = EVENTS_HELP)]
pub struct EventsArgs {
    /// List only events of this topic
    #[arg(long)]
    pub topic: Option<String>,

    /// List only events of this source
    #[arg(long)]
    pub source: Option<String>,

    /// List only what was received since this moment: 1h (an hour ago), 2026-11-26, or 2026-11-26T12:00:00Z
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<Moment>,

    /// List only what was received before this moment
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<Moment>,

    /// List only events with this timestamp or a later one, as in 2026-01-01T12:00:00Z; this reads the whole list
    #[arg(long, value_name = "TIMESTAMP")]
    pub timestamp_since: Option<String>,

    /// List only events with an earlier timestamp; this reads the whole list
    #[arg(long, value_name = "TIMESTAMP")]
    pub timestamp_until: Option<String>,

    /// List at most this many events, from the oldest on
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// List the last N events, in the order in which they were stored [default: 20, unless another option says which]
    #[arg(long, value_name = "N", conflicts_with = "limit", value_parser = within::<u16>(TAIL))]
    pub tail: Option<u16>,

    /// List the events that are stored from now on, until Ctrl-C; after those that other options name
    #[arg(long)]
    pub follow: bool,

    /// Write lines that `eventctl publish` reads back
    #[arg(long, conflicts_with = "csv")]
    pub export: bool,

    /// Write CSV with a header, for spreadsheets
    #[arg(long)]
    pub csv: bool,
}

const EVENTS_HELP: &str = "\
    Examples:\n  \
    eventctl events                                  the last 20\n  \
    eventctl events --since 1h --topic orders\n  \
    eventctl events --follow --json | jq .payload    from now on\n  \
    eventctl events --since 2026-11-01 --export > november.ndjson\n  \
    eventctl events --limit 1000 --csv > events.csv";

/// How many events `--tail` may ask for, because they are kept until all are read.
const TAIL: std::ops::RangeInclusive<u64> = 1..=10_000;

/// Which events come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The oldest of those that are asked for.
    Oldest,
    /// So many of the last.
    Last(u64),
    /// Those that are stored from now on.
    FromNow,
}

impl EventsArgs {
    /// How many of the last events are listed, unless the command line says otherwise.
    const DEFAULT_TAIL: u64 = 20;

    /// Which events come first.
    #[must_use]
    pub fn first(&self) -> First {
        let whole = self.limit.is_some()
            || self.since.is_some()
            || self.timestamp_since.is_some()
            || ((self.export || self.csv) && !self.follow);
        match self.tail {
            Some(count) => First::Last(count.into()),
            None if whole => First::Oldest,
            None if self.follow => First::FromNow,
            None => First::Last(Self::DEFAULT_TAIL),
        }
    }

    /// Whether it leaves out any event.
    #[must_use]
    pub const fn is_selective(&self) -> bool {
        self.topic.is_some()
            || self.source.is_some()
            || self.since.is_some()
            || self.until.is_some()
            || self.timestamp_since.is_some()
            || self.timestamp_until.is_some()
    }
}

const DEAD_LETTERS_HELP: &str = "\
    Examples:\n  \
    eventctl dead-letters list\n  \
    eventctl dead-letters show 7\n  \
    eventctl dead-letters replay --all --dry-run\n  \
    eventctl dead-letters delete 7";

/// What to do with dead letters.
#[derive(Debug, Clone, Subcommand)]
pub enum DeadLettersCommand {
    /// List dead letters, oldest first
    #[command(
        after_help = "Examples:\n  eventctl dead-letters list\n  eventctl dead-letters list --limit 1000 --json | jq .reason"
    )]
    List {
        /// List at most this many
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u64,
    },
    /// Show one dead letter in full
    #[command(after_help = "Examples:\n  eventctl dead-letters show 7")]
    Show {
        /// Its id
        #[arg(value_parser = letter_id)]
        id: i64,
    },
    /// Try again to store dead letters
    #[command(
        after_help = "Examples:\n  eventctl dead-letters replay --all --dry-run\n  eventctl dead-letters replay 7 8"
    )]
    Replay {
        /// Their ids
        #[arg(required_unless_present = "all", value_parser = letter_id)]
        ids: Vec<i64>,
        /// Replay all
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Tell what would happen, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete the content of dead letters; they stay counted
    #[command(after_help = "Examples:\n  eventctl dead-letters delete 7 8")]
    Delete {
        /// Their ids
        #[arg(required = true, value_parser = letter_id)]
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
    compares those; run it where the database is.\n\n\
    Examples:\n  \
    eventctl verify\n  \
    eventctl verify --counters-only --json";

fn letter_id(text: &str) -> Result<i64, String> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| {
        "must be the number of a dead letter; `eventctl dead-letters list` shows them".to_owned()
    })
}

fn duplicates(text: &str) -> Result<f64, String> {
    number_within(text, &DUPLICATES)
}

fn rate(text: &str) -> Result<f64, String> {
    number_within(text, &RATE)
}
