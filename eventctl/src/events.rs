//! `eventctl events`: lists what is stored, and what is stored from now on.

use std::{io, time::Duration};

use console::{Term, style};
use event_aggregator_client::{Client, EventQuery, StoredEvent, Verbatim};

use crate::{
    cli::EventsArgs,
    error::Error,
    exit_code::Outcome,
    format::{compact, plain},
    output,
};

/// How many events are read at once.
const PAGE: u64 = 500;
/// The same while following: the last page is read again and again.
const FOLLOWED_PAGE: u64 = 100;
/// The pause before the last page is read again.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Lists events, oldest first; with `--follow` until a signal arrives.
///
/// # Errors
/// If the server is away or refuses the request.
pub(crate) async fn run(client: &Client, args: &EventsArgs, json: bool) -> Result<Outcome, Error> {
    // Ids are positive.
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
        let query = EventQuery {
            topic: args.topic.clone(),
            source: args.source.clone(),
            since: args.since.clone(),
            until: args.until.clone(),
            limit: Some(most),
            cursor: cursor.clone(),
        };
        let page = client.events(&query).await?;
        for event in &page.events {
            if event.id <= last || left == 0 {
                continue;
            }
            print(event, json)?;
            (last, left) = (event.id, left - 1);
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            // The last page grows, so it is read again from the same place.
            None if args.follow => tokio::select! {
                () = tokio::time::sleep(READ_EVERY) => (),
                () = client.stop().cancelled() => (),
            },
            None => break,
        }
    }
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

fn print(event: &Verbatim<StoredEvent>, json: bool) -> io::Result<()> {
    if json {
        // The payload is as the client wrote it, and may have line breaks.
        return output::line(compact(event.text()));
    }
    let line = format!(
        "{}  {}  {}  {}  {}",
        style(&event.timestamp).dim(),
        style(plain(&event.topic)).cyan(),
        plain(&event.event_id),
        style(plain(&event.source)).dim(),
        plain(&compact(event.payload.get())),
    );
    output::line(output::fit(&line, &Term::stdout()))
}
