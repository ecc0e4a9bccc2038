//! `eventctl events`: lists what is stored, and what is stored from now on.
//!
//! - `lines`: how an event is written: for people, as JSON, as a line that `publish` reads, or as CSV

mod lines;

use std::time::Duration;

use chrono::Utc;
use event_aggregator_client::{
    Client, Error as CallError, EventQuery, Order, StoredEvent, Verbatim,
};

use self::lines::Lines;
use crate::{
    cli::{EventsArgs, First},
    error::Error,
    exit_code::Outcome,
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
    let asked = Asked::new(args);
    let mut lines = Lines::new(args, json);
    lines.begin()?;
    // Ids are positive.
    let (mut cursor, mut last) = (None, 0);
    let mut left = args.limit.unwrap_or(u64::MAX);
    match args.first() {
        First::Oldest => {}
        First::Last(count) => {
            let (events, place) = asked.tail(client, count).await?;
            for event in &events {
                lines.print(event)?;
                last = event.id;
            }
            cursor = place;
            if !args.follow {
                left = 0;
            }
        }
        First::FromNow => (cursor, last) = asked.end(client).await?,
    }
    while left > 0 && !client.stop().is_cancelled() {
        let most = if args.follow {
            FOLLOWED_PAGE
        } else {
            PAGE.min(left)
        };
        let query = asked.query(Order::Oldest, most, cursor.clone());
        let page = client.events(&query).await?;
        for event in &page.events {
            if event.id <= last || left == 0 {
                continue;
            }
            lines.print(event)?;
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
    if last == 0 && lines.are_for_people() && !args.follow {
        output::line(none_found(args))?;
    }
    Ok(Outcome::Well)
}

/// Which events are asked for.
struct Asked<'a> {
    args: &'a EventsArgs,
    received_since: Option<String>,
    received_until: Option<String>,
}

impl<'a> Asked<'a> {
    fn new(args: &'a EventsArgs) -> Self {
        let now = Utc::now();
        let time = |moment: &crate::cli::Moment| moment.before(now);
        Self {
            args,
            received_since: args.since.as_ref().map(time),
            received_until: args.until.as_ref().map(time),
        }
    }

    /// The last events, in the order in which they were stored, and the place before them; `None` is the beginning.
    async fn tail(
        &self,
        client: &Client,
        count: u64,
    ) -> Result<(Vec<Verbatim<StoredEvent>>, Option<String>), Error> {
        let (mut events, mut cursor) = (Vec::new(), None);
        let mut left = count;
        while left > 0 && !client.stop().is_cancelled() {
            let query = self.query(Order::Newest, PAGE.min(left), cursor);
            let page = client.events(&query).await?;
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

    /// The place at which the list ends now, and the id of its last event.
    async fn end(&self, client: &Client) -> Result<(Option<String>, i64), Error> {
        let any = EventQuery {
            order: Some(Order::Newest),
            limit: Some(1),
            ..EventQuery::default()
        };
        let page = match client.events(&any).await {
            // A key for some topics may ask only for events of one of them.
            Err(CallError::Refused(problem)) if problem.status == 403 => {
                client.events(&self.query(Order::Newest, 1, None)).await?
            }
            other => other?,
        };
        let last = page.events.first().map_or(0, |event| event.id);
        Ok((page.next_cursor, last))
    }

    fn query(&self, order: Order, limit: u64, cursor: Option<String>) -> EventQuery {
        let args = self.args;
        EventQuery {
            topic: args.topic.clone(),
            source: args.source.clone(),
            since: args.timestamp_since.clone(),
            until: args.timestamp_until.clone(),
            received_since: self.received_since.clone(),
            received_until: self.received_until.clone(),
            // A server of an earlier version knows only this order, and not the parameter.
            order: Some(order).filter(|order| *order != Order::Oldest),
            limit: Some(limit),
            cursor,
        }
    }
}

const fn none_found(args: &EventsArgs) -> &'static str {
    if args.is_selective() {
        "no events that match"
    } else {
        "no events"
    }
}
