//! `eventctl events`: lists what is stored, and what is stored from now on.

use std::{io, time::Duration};

use console::{Term, style};
use event_aggregator_client::{Client, EventQuery, Order, StoredEvent, Verbatim};

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

/// Lists events in the order in which they were stored; with `--follow` until a signal arrives.
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
    if let Some(count) = args.tail {
        let (events, place) = tail(client, args, count.into()).await?;
        for event in &events {
            print(event, json)?;
            last = event.id;
        }
        cursor = place;
        if !args.follow {
            left = 0;
        }
    }
    while left > 0 && !client.stop().is_cancelled() {
        let most = if args.follow {
            FOLLOWED_PAGE
        } else {
            PAGE.min(left)
        };
        let page = client
            .events(&query(args, Order::Oldest, most, cursor.clone()))
            .await?;
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

/// The last events, in the order in which they were stored, and the place before them; `None` is the beginning.
async fn tail(
    client: &Client,
    args: &EventsArgs,
    count: u64,
) -> Result<(Vec<Verbatim<StoredEvent>>, Option<String>), Error> {
    let (mut events, mut cursor) = (Vec::new(), None);
    let mut left = count;
    while left > 0 {
        let page = client
            .events(&query(args, Order::Newest, PAGE.min(left), cursor))
            .await?;
        left = left.saturating_sub(page.events.len() as u64);
        events.extend(page.events);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    events.reverse();
    Ok((events, cursor))
}

fn query(args: &EventsArgs, order: Order, limit: u64, cursor: Option<String>) -> EventQuery {
    EventQuery {
        topic: args.topic.clone(),
        source: args.source.clone(),
        since: args.since.clone(),
        until: args.until.clone(),
        // A server of an earlier version knows only this order, and not the parameter.
        order: Some(order).filter(|order| *order != Order::Oldest),
        limit: Some(limit),
        cursor,
    }
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
