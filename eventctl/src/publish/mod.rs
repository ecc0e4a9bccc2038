//! `eventctl publish`: sends all events of a file or of standard input, whatever happens on the way.
//!
//! - `source` opens the input, `input` finds its events, `batches` makes batches of them
//! - `deliver` sends a batch, `ids` gives ids to events that have none
//! - `progress` knows what is done, `resume` records it, `report` tells it

mod batches;
mod deliver;
mod digest;
mod ids;
mod input;
mod progress;
mod report;
mod resume;
mod source;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use event_aggregator_client::Client;
use futures_util::StreamExt;

use self::{
    batches::batches,
    deliver::{Way, deliver},
    input::Reader,
    progress::Progress,
};
use crate::{cli::PublishArgs, error::Error, exit_code::Outcome, output};

/// Sends all of the input and tells what became of it.
///
/// # Errors
/// If a file cannot be used, or if the server is away or refuses the client. What was accepted before is told all the same.
pub(crate) async fn run(client: &Client, args: &PublishArgs, json: bool) -> Result<Outcome, Error> {
    let mut progress = Progress::start(args)?;
    let start = progress.done();
    let (source, bytes) = source::open(&args.input, start)?;
    let bar = progress::bar(bytes, start);
    let (retried, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let reader = Reader::new(source, start);
    let way = Way {
        gzip: args.gzip,
        ingest: args.ingest,
    };
    let delivering = batches(reader, start, args.batch.into(), args.id_from_content)
        .take_until(client.stop().cancelled())
        .map(|batch| async {
            let batch = batch.map_err(|error| Error::file(&args.input, &error))?;
            deliver(client, batch, way, |failure| {
                retried.fetch_add(1, Relaxed);
                lost.fetch_add(u64::from(failure.is_uncertain), Relaxed);
            })
            .await
        })
        // The order of the input is kept, so that what is done is always its beginning.
        .buffered(args.connections.into());
    let mut delivering = std::pin::pin!(delivering);
    let mut ended = Ok(());
    while let Some(delivered) = delivering.next().await {
        ended = delivered.and_then(|delivered| progress.add(&delivered));
        if ended.is_err() {
            break;
        }
        progress.show(&bar);
    }
    bar.finish_and_clear();
    progress.report.retried = retried.load(Relaxed);
    progress.report.lost_answers = lost.load(Relaxed);
    let is_interrupted =
        client.stop().is_cancelled() && ended.as_ref().err().is_none_or(Error::is_interruption);
    let ended = match ended {
        // The input cannot be read from its start, so there is nothing else to tell.
        Err(error @ Error::File { .. }) if progress.report.is_empty() => return Err(error),
        other => other,
    };
    progress.finish(json)?;
    if is_interrupted || ended.is_err() {
        output::tell(progress.how_to_continue(&args.input));
    } else if progress.report.is_empty() {
        output::tell(progress.why_nothing());
    }
    if is_interrupted {
        return Ok(Outcome::Interrupted);
    }
    ended.map(|()| Outcome::well_if(progress.report.refused == 0))
}
