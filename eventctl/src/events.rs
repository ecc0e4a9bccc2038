//! `eventctl events`: what is stored, and what comes.

use std::time::Duration;

use console::{Term, style};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{cli::EventsArgs, client::Client, error::Error, exit::Outcome, output};

/// Events in one answer.
const PAGE: u64 = 500;
/// Events in one answer while following: the last page is read again and again.
const FOLLOWED_PAGE: u64 = 100;
/// Pause between two looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A page of `GET /events`.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// Oldest first, each as the server wrote it.
    pub events: Vec<Box<RawValue>>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Stored<'a> {
    id: i64,
    topic: String,
    event_id: String,
    timestamp: String,
    source: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Lists events, oldest first; with `--follow` until a signal comes.
///
/// # Errors
/// If the server is away or refuses.
pub async fn run(client: &Client, args: &EventsArgs, json: bool) -> Result<Outcome, Error> {
    let (mut cursor, mut last) = (None, 0);
    let default = if args.follow {
        u64::MAX
    } else {
        EventsArgs::DEFAULT_LIMIT
    };
    let mut left = args.limit.unwrap_or(default);
    while left > 0 && !client.stop().is_cancelled() {
        let most = if args.follow {
            FOLLOWED_PAGE
        } else {
            PAGE.min(left)
        };
        let page: Page = client
            .get(&["events"], &query(args, most, cursor.as_deref()))
            .await?;
        for raw in &page.events {
            let event = parse(raw)?;
            if event.id <= last || left == 0 {
                continue;
            }
            print(&event, raw, json)?;
            (last, left) = (event.id, left - 1);
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            // The last page is read again, from the same place: it grows.
            None if args.follow => tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => (),
                () = client.stop().cancelled() => (),
            },
            None => break,
        }
    }
    // Ids are positive.
    if last == 0 && !json && !args.follow {
        output::line(none_found(args))?;
    }
    Ok(Outcome::Well)
}

const fn none_found(args: &EventsArgs) -> &'static str {
    let all = args.topic.is_none()
        && args.source.is_none()
        && args.since.is_none()
        && args.until.is_none();
    if all {
        "no events"
    } else {
        "no events that match"
    }
}

fn query(args: &EventsArgs, limit: u64, cursor: Option<&str>) -> Vec<(&'static str, String)> {
    let given = [
        ("topic", args.topic.as_deref()),
        ("source", args.source.as_deref()),
        ("since", args.since.as_deref()),
        ("until", args.until.as_deref()),
        ("cursor", cursor),
    ];
    let given = given.into_iter();
    let given = given.filter_map(|(name, value)| Some((name, value?.to_owned())));
    given.chain([("limit", limit.to_string())]).collect()
}

fn parse(raw: &RawValue) -> Result<Stored<'_>, Error> {
    serde_json::from_str(raw.get()).map_err(|error| Error::Answer {
        url: "/events".to_owned(),
        reason: error.to_string(),
    })
}

fn print(event: &Stored<'_>, raw: &RawValue, json: bool) -> Result<(), Error> {
    if json {
        // A payload may hold line breaks, as the client sent it.
        return Ok(output::line(output::compact(raw.get()))?);
    }
    let line = format!(
        "{}  {}  {}  {}  {}",
        style(&event.timestamp).dim(),
        style(output::plain(&event.topic)).cyan(),
        output::plain(&event.event_id),
        style(output::plain(&event.source)).dim(),
        output::plain(&output::compact(event.payload.get())),
    );
    Ok(output::line(output::fit(&line, &Term::stdout()))?)
}
