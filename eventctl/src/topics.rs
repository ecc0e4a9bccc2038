//! `eventctl topics`: lists topics with their counters.

use event_aggregator_client::{Client, TopicQuery, TopicStats};

use crate::{
    cli::TopicsArgs,
    error::Error,
    exit_code::Outcome,
    format::{number, plain},
    output,
    table::{Left, Right, table},
};

/// How many topics are read at once.
const PAGE: u64 = 500;

/// Lists topics.
///
/// # Errors
/// If the server is away or refuses the request.
pub(crate) async fn run(client: &Client, args: &TopicsArgs, json: bool) -> Result<Outcome, Error> {
    let (mut topics, mut cursor) = (Vec::<TopicStats>::new(), None);
    while (topics.len() as u64) < args.limit && !client.stop().is_cancelled() {
        let left = args.limit - topics.len() as u64;
        let query = TopicQuery {
            prefix: args.prefix.clone(),
            order: Some(args.order.into()),
            limit: Some(PAGE.min(left)),
            cursor,
        };
        let page = client.topics(&query).await?;
        topics.extend(page.topics);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if json {
        for topic in &topics {
            output::json(topic)?;
        }
    } else if topics.is_empty() {
        output::line("no topics")?;
    } else {
        let head = [
            "topic",
            "unique",
            "duplicates",
            "first event",
            "last delivery",
        ];
        let rows = topics.iter().map(|topic| {
            [
                plain(&topic.topic),
                number(topic.unique_processed),
                number(topic.duplicate_dropped),
                plain(&topic.first_processed_at),
                plain(&topic.last_processed_at),
            ]
        });
        let rows = std::iter::once(head.map(str::to_owned)).chain(rows);
        output::lines(&table([Left, Right, Right, Left, Left], rows))?;
    }
    Ok(Outcome::Well)
}
