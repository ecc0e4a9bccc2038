//! What is known about a run before its first event is sent.

use std::time::Duration;

use super::{generator::EventGenerator, run_id::RunId, sending::Pace};
use crate::{
    cli::SimulateArgs,
    format::{bytes, counted, rate},
};

/// How many events are made to estimate their size.
const SAMPLED_EVENTS: u64 = 64;

/// What is known about a run before its first event is sent.
#[derive(Debug)]
pub(super) struct Heading {
    /// The run, its seed, and its settings.
    pub(super) title: String,
    /// What the run leaves on the server.
    pub(super) cost: String,
    /// How many deliveries there will be, if that is known.
    pub(super) deliveries: Option<u64>,
    /// How long the run sends at most.
    pub(super) duration: Option<Duration>,
}

impl Heading {
    pub(super) fn new(
        args: &SimulateArgs,
        id: &RunId,
        generator: &EventGenerator,
        pace: Pace,
    ) -> Self {
        let rate = pace.rate.map_or_else(
            || "as fast as possible".to_owned(),
            |per_second| format!("at most {}", rate(per_second)),
        );
        Self {
            title: format!(
                "run {}, seed {}: {:.0}% duplicates, {}, {rate}",
                id.run,
                id.seed,
                args.duplicates * 100.0,
                counted(args.topics.into(), "topic"),
            ),
            cost: cost(args, generator, pace),
            deliveries: (args.events > 0).then_some(args.events),
            duration: args.duration.map(Duration::from),
        }
    }
}

/// What stays on the server, as far as that is known: events are never removed.
fn cost(args: &SimulateArgs, generator: &EventGenerator, pace: Pace) -> String {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let all = args.events as f64;
    let rate = pace.rate.unwrap_or(f64::INFINITY);
    let deliveries = match args.duration.map(Duration::from) {
        Some(duration) if args.events == 0 => rate * duration.as_secs_f64(),
        Some(duration) => all.min(rate * duration.as_secs_f64()),
        None if args.events == 0 => f64::INFINITY,
        None => all,
    };
    let event_bytes = average_bytes(generator);
    let amount = |deliveries: f64| {
        let events = deliveries * (1.0 - args.duplicates);
        let (events, size) = (whole(events), whole(events * event_bytes));
        format!("{} ({} of JSON)", counted(events, "event"), bytes(size))
    };
    if deliveries.is_finite() {
        format!("stores about {} for good", amount(deliveries))
    } else if rate.is_finite() {
        format!(
            "stores about {} for good each hour, until Ctrl-C; --duration ends it by itself",
            amount(rate * 3600.0)
        )
    } else {
        "stores as many events for good as the server takes, until it ends".to_owned()
    }
}

/// The average size of an event as JSON.
fn average_bytes(generator: &EventGenerator) -> f64 {
    let sample = (0..SAMPLED_EVENTS).map(|event| generator.event(event));
    // An event of this generator can be written as JSON.
    let sizes = sample.map(|event| serde_json::to_vec(&event).map_or(0, |text| text.len()));
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let average = sizes.sum::<usize>() as f64 / SAMPLED_EVENTS as f64;
    average
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate of something that is not negative"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
