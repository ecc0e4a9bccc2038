//! The command line.

use std::{env, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use clap::{
    Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, builder::RangedU64ValueParser,
};
use clap_complete::Shell;
use reqwest::Url;

use crate::{client::Target, error::Error, exit, tls};

/// Most events in one request; the server's own limit is 10000 unless it is set higher.
const BATCH: RangeInclusive<u64> = 1..=10_000;
/// Most requests at the same time.
const CONNECTIONS: RangeInclusive<u64> = 1..=256;
/// Most topics of a simulation.
const TOPICS: RangeInclusive<u64> = 1..=1000;
/// Largest payload of a simulation; the server's own limit for an event is 256 KiB.
const PAYLOAD_BYTES: RangeInclusive<u64> = 0..=200_000;
/// With more duplicates a run would hardly get on.
const MOST_DUPLICATES: f64 = 0.99;
/// More than any server takes.
const HIGHEST_RATE: f64 = 1_000_000.0;

/// Publish events, simulate clients, and look at what an event aggregator has stored.
#[derive(Debug, Parser)]
#[command(name = "eventctl", version, after_help = exit::HELP, arg_required_else_help = true)]
pub struct Cli {
    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub json: bool,

    /// Where, and how to speak.
    #[command(flatten)]
    pub server: ServerArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The command line of this process, and its environment. Help, and what is wrong with them, is printed, and ends
    /// the process.
    #[must_use]
    pub fn read() -> Self {
        let command = Self::command().mut_args(ignoring_empty);
        let mut matches = command.get_matches();
        Self::from_arg_matches_mut(&mut matches)
            .unwrap_or_else(|error| error.format(&mut Self::command()).exit())
    }
}

/// An empty variable is an unset one: `docker compose` and Kubernetes pass on `NAME=` for what nobody has set.
fn ignoring_empty(arg: Arg) -> Arg {
    let value = arg.get_env().and_then(env::var_os);
    if value.is_some_and(|value| value.is_empty()) {
        arg.env(None)
    } else {
        arg
    }
}

/// Which servers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Servers")]
pub struct ServerArgs {
    /// The publisher, or the standalone server
    #[arg(
        long,
        global = true,
        env = "EVENTCTL_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: Url,

    /// The aggregator, if it is another [default: --url]
    #[arg(long, global = true, env = "EVENTCTL_READ_URL", value_name = "URL")]
    pub read_url: Option<Url>,

    /// API key, sent as a bearer token; better in the environment, where no process list shows it
    #[arg(long, global = true, env = "EVENTCTL_KEY", hide_env_values = true)]
    pub key: Option<String>,

    /// Authorities to trust instead of the public ones, for https:// addresses; PEM
    #[arg(long, global = true, env = "EVENTCTL_CA_CERT", value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// Certificate to show to a server that asks for one; PEM
    #[arg(long, global = true, env = "EVENTCTL_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// Its key; PEM, not encrypted
    #[arg(long, global = true, env = "EVENTCTL_CERT_KEY", value_name = "FILE")]
    pub cert_key: Option<PathBuf>,

    /// How long one request is tried again while the server is away or busy
    #[arg(long, global = true, default_value = "60s", value_name = "TIME")]
    pub patience: Time,
}

impl ServerArgs {
    /// What a client needs.
    ///
    /// # Errors
    /// [`Error::Usage`] if a certificate has no key, or a key no certificate.
    pub fn target(&self) -> Result<Target, Error> {
        let identity = match (self.cert.clone(), self.cert_key.clone()) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let reason = "--cert and --cert-key belong together: give both, or neither";
                return Err(Error::Usage(reason.to_owned()));
            }
        };
        Ok(Target {
            url: self.url.clone(),
            read_url: self.read_url.as_ref().unwrap_or(&self.url).clone(),
            key: self.key.clone(),
            tls: tls::Files {
                ca: self.ca_cert.clone(),
                identity,
            },
            patience: self.patience.into(),
        })
    }
}

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish events from a file or a pipe: NDJSON, a JSON array, {"events":[…]}; also compressed with gzip
    Publish(PublishArgs),
    /// Send made-up events as unreliable clients do, then check that the counters are exact
    Simulate(SimulateArgs),
    /// Show the counters
    Stats(StatsArgs),
    /// List stored events, oldest first
    Events(EventsArgs),
    /// What could not be stored, and what to do with it
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Check that what the server says over HTTP agrees with itself
    Verify(VerifyArgs),
    /// Print a script that completes this command line in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// How to publish.
#[derive(Debug, Clone, Args)]
#[command(after_help = PUBLISH_HELP)]
pub struct PublishArgs {
    /// The events; `-` is standard input
    #[arg(value_name = "FILE")]
    pub input: PathBuf,

    /// Most events in one request
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = within::<u16>(BATCH))]
    pub batch: u16,

    /// Requests at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = within::<u16>(CONNECTIONS))]
    pub connections: u16,

    /// Compress requests; the server must know how to read that
    #[arg(long)]
    pub gzip: bool,

    /// Give events without an id the SHA-256 of their topic, timestamp, source and payload
    #[arg(long)]
    pub id_from_content: bool,

    /// Keep in this file how far the input is settled, and go on there
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,

    /// Write what is refused into this file, as NDJSON: line, reason, text
    #[arg(long, value_name = "FILE")]
    pub refused: Option<PathBuf>,
}

const PUBLISH_HELP: &str = "\
    FILE holds an event a line (NDJSON), a JSON array of events, an object {\"events\":[…]}, or events \
    over several lines each; it may be compressed with gzip. CSV must be converted first.\n\n\
    Sending again is safe: an event is stored once for each topic and event_id. So the same file \
    may be published twice, and a run that was interrupted may be repeated, with or without \
    --resume.\n\n\
    --id-from-content: the id is the SHA-256, in hexadecimal, of \
    [topic,timestamp,source,payload] as JSON without white space, with absent members as null, \
    the members of objects sorted by name, and numbers as they were written.";

/// How to simulate.
#[derive(Debug, Clone, Args)]
#[command(after_help = SIMULATE_HELP)]
pub struct SimulateArgs {
    /// Deliveries in all, duplicates included; 0: until --duration is over or a signal comes
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub events: u64,

    /// Share of the deliveries that repeat an earlier event, 0 to 0.99
    #[arg(long, default_value_t = 0.3, value_name = "SHARE", value_parser = duplicates)]
    pub duplicates: f64,

    /// Topics
    #[arg(long, default_value_t = 8, value_name = "K", value_parser = within::<u16>(TOPICS))]
    pub topics: u16,

    /// Most events in one request
    #[arg(long, default_value_t = 100, value_name = "B", value_parser = within::<u16>(BATCH))]
    pub batch: u16,

    /// Requests at the same time
    #[arg(long, default_value_t = 4, value_name = "C", value_parser = within::<u16>(CONNECTIONS))]
    pub connections: u16,

    /// Most deliveries a second; 0: as many as the server takes [default: 0 with --events, else 100]
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,

    /// How long to send, at most: 90s, 5m, 2h
    #[arg(long, value_name = "TIME")]
    pub duration: Option<Time>,

    /// Decides the events and their order [default: random]
    #[arg(long)]
    pub seed: Option<u64>,

    /// Fill payloads up to about this size
    #[arg(long, default_value_t = 0, value_name = "BYTES", value_parser = within::<usize>(PAYLOAD_BYTES))]
    pub payload_bytes: usize,

    /// How long the servers may take to finish what they have accepted
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub settle: Time,
}

const SIMULATE_HELP: &str = "\
    At the end the counters are compared with what was sent, as the difference since the start: \
    the server need not be empty, but nobody else should publish meanwhile. Where an answer was \
    lost nobody can know whether that request was counted: then the expected number is a range. \
    A run without --events ends with 0 on a signal.\n\n\
    What is sent stays on the server: no call removes events. The first lines say how much that will be.";

/// How to show the counters.
#[derive(Debug, Clone, Args)]
pub struct StatsArgs {
    /// Show them again and again, with rates, until Ctrl-C
    #[arg(long)]
    pub watch: bool,

    /// Time between two looks
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub interval: Time,
}

/// Which events.
#[derive(Debug, Clone, Args)]
pub struct EventsArgs {
    /// Only of this topic
    #[arg(long)]
    pub topic: Option<String>,

    /// Only of this source
    #[arg(long)]
    pub source: Option<String>,

    /// Only with this timestamp or a later one: 2026-01-01T12:00:00Z
    #[arg(long, value_name = "TIMESTAMP")]
    pub since: Option<String>,

    /// Only with an earlier timestamp
    #[arg(long, value_name = "TIMESTAMP")]
    pub until: Option<String>,

    /// Most events [default: 100; with --follow: no limit]
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,

    /// Go on with what is stored from now on, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
}

impl EventsArgs {
    /// Most events, unless it is said otherwise.
    pub const DEFAULT_LIMIT: u64 = 100;
}

/// What to do with dead letters.
#[derive(Debug, Clone, Subcommand)]
pub enum DeadLettersCommand {
    /// List them, oldest first
    List {
        /// Most dead letters
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u64,
    },
    /// Show one in full
    Show {
        /// Its id
        id: i64,
    },
    /// Try to store them again
    Replay {
        /// Their ids
        #[arg(required_unless_present = "all")]
        ids: Vec<i64>,
        /// All there are
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Only tell what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// Throw away what is in them; they stay counted
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
    /// Leave out counting the events one by one, which takes a server that is quiet
    #[arg(long)]
    pub counters_only: bool,
}

const VERIFY_HELP: &str = "\
    Checked are: received = unique + duplicates + dead letters; the sum of the topics = unique; \
    and, while nothing arrives, the number of events listed = unique, in all and in each topic. \
    That is what can be seen over HTTP. It proves neither that every accepted event is stored \
    nor that the counters agree with the database's rows in one snapshot: `aggregator verify` \
    (standalone: `event-aggregator verify`) compares those, where the database is.";

/// A time such as `90s`, `5m`, `2h`, `1d`; without a unit it is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(Duration);

impl From<Time> for Duration {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, seconds) = match text.char_indices().last() {
            Some((at, 's')) => (&text[..at], 1),
            Some((at, 'm')) => (&text[..at], 60),
            Some((at, 'h')) => (&text[..at], 60 * 60),
            Some((at, 'd')) => (&text[..at], 24 * 60 * 60),
            _ => (text, 1),
        };
        let number: u32 = digits
            .parse()
            .map_err(|_| "must be a number and a unit: 90s, 5m, 2h, 1d".to_owned())?;
        Ok(Self(Duration::from_secs(u64::from(number) * seconds)))
    }
}

/// A number within a range, of a type that holds all of it.
fn within<T>(range: RangeInclusive<u64>) -> RangedU64ValueParser<T>
where
    T: TryFrom<u64> + Clone + Send + Sync + 'static,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    RangedU64ValueParser::new().range(range)
}

fn duplicates(text: &str) -> Result<f64, String> {
    number(text, 0.0..=MOST_DUPLICATES)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.0..=HIGHEST_RATE)
}

fn number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        let seconds = |text: &str| text.parse::<Time>().map(|time| time.0.as_secs()).ok();
        let read = ["90", "90s", "5m", "2h", "1d", "", "m", "-1s", "5 m", "1.5h"].map(seconds);
        let expected = [Some(90), Some(90), Some(300), Some(7200), Some(86_400)];
        assert_eq!(read[..5], expected);
        assert_eq!(read[5..], [None; 5]);
    }

    #[test]
    fn the_aggregator_is_where_the_publisher_is_unless_it_is_said() {
        let read = |args: &[&str]| {
            let cli = Cli::parse_from([&["eventctl", "simulate"], args].concat());
            cli.server.target().unwrap().read_url.to_string()
        };
        assert_eq!(read(&["--url=http://a:1"]), "http://a:1/");
        assert_eq!(
            read(&["--url=http://a:1", "--read-url=http://b:2"]),
            "http://b:2/"
        );
    }
}
