//! `eventctl dead-letters`: lists, shows, replays and deletes what could not be stored.

use std::{collections::BTreeSet, io};

use console::{Term, style};
use event_aggregator_client::{Client, DeadLetter, Refused, Selection, Verbatim};
use serde::Serialize;

use crate::{
    cli::DeadLettersCommand,
    error::Error,
    exit_code::Outcome,
    format::{compact, count, plain},
    output,
};

/// How many dead letters are read at once.
const PAGE: u64 = 500;

/// What became of the dead letters that were to be replayed.
#[derive(Debug, Default, Serialize)]
struct Report {
    dry_run: bool,
    accepted: u64,
    duplicates: u64,
    refused: Vec<Refused>,
    /// Ids that no dead letter has.
    unknown: Vec<i64>,
}

/// Does one of the things that can be done with dead letters.
///
/// # Errors
/// If the server is away or refuses the request.
pub(crate) async fn run(
    client: &Client,
    command: &DeadLettersCommand,
    json: bool,
) -> Result<Outcome, Error> {
    match command {
        DeadLettersCommand::List { limit } => list(client, *limit, json).await,
        DeadLettersCommand::Show { id } => show(client, *id, json).await,
        DeadLettersCommand::Replay { ids, dry_run, .. } => {
            replay(client, ids, *dry_run, json).await
        }
        DeadLettersCommand::Delete { ids } => delete(client, ids).await,
    }
}

/// Hands dead letters to `each`, oldest first, as long as it returns `true`.
async fn walk(
    client: &Client,
    mut each: impl FnMut(&Verbatim<DeadLetter>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut cursor: Option<String> = None;
    while !client.stop().is_cancelled() {
        let page = client.dead_letters(PAGE, cursor.as_deref()).await?;
        for letter in &page.dead_letters {
            if !each(letter)? {
                return Ok(());
            }
        }
        // Each cursor is behind the one before, so this loop ends where the list ends.
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
    Err(event_aggregator_client::Error::Interrupted.into())
}

async fn list(client: &Client, limit: u64, json: bool) -> Result<Outcome, Error> {
    let mut left = limit;
    walk(client, |letter| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        if json {
            output::line(compact(letter.text()))?;
            return Ok(true);
        }
        let line = format!(
            "{:>6}  {}  {}  {}",
            letter.id,
            style(&letter.failed_at).dim(),
            style(plain(&letter.reason)).yellow(),
            raw(letter),
        );
        output::line(output::fit(&line, &Term::stdout()))?;
        Ok(true)
    })
    .await?;
    if left == limit && !json {
        output::line("no dead letters")?;
    }
    Ok(Outcome::Well)
}

async fn show(client: &Client, id: i64, json: bool) -> Result<Outcome, Error> {
    let mut found = None;
    walk(client, |letter| {
        if letter.id == id {
            found = Some(letter.clone());
        }
        Ok(found.is_none())
    })
    .await?;
    let Some(letter) = found else {
        return Ok(unknown(id));
    };
    if json {
        output::line(compact(letter.text()))?;
        return Ok(Outcome::Well);
    }
    let receipt_id = letter.receipt_id.as_deref().unwrap_or("none");
    for (name, value) in [
        ("id", letter.id.to_string()),
        ("failed_at", plain(&letter.failed_at)),
        ("receipt_id", plain(receipt_id)),
        ("reason", plain(&letter.reason)),
        ("raw", raw(&letter)),
    ] {
        output::line(format!("{name:<11} {value}"))?;
    }
    Ok(Outcome::Well)
}

async fn replay(client: &Client, ids: &[i64], dry_run: bool, json: bool) -> Result<Outcome, Error> {
    let mut report = Report {
        dry_run,
        unknown: unknown_ids(client, ids).await?,
        ..Report::default()
    };
    let known = ids.iter().filter(|id| !report.unknown.contains(id));
    let known: Vec<i64> = known.copied().collect();
    let has_work = ids.is_empty() || !known.is_empty();
    let mut next = has_work.then_some(match ids {
        [] => Selection::All,
        _ => Selection::Ids(known),
    });
    // Each cursor is behind the one before, so this loop ends where the list ends.
    while let Some(selection) = next.take_if(|_| !client.stop().is_cancelled()) {
        let part = client.replay(&selection, dry_run).await?;
        report.accepted += part.accepted;
        report.duplicates += part.duplicates;
        report.refused.extend(part.refused);
        next = part.next_cursor.map(Selection::AllFrom);
    }
    for &id in &report.unknown {
        unknown(id);
    }
    if json {
        output::json(&report)?;
    } else if has_work {
        print(&report)?;
    }
    if client.stop().is_cancelled() {
        if next.is_some() {
            output::tell("not finished: the same command continues with what is left");
        }
        return Ok(Outcome::Interrupted);
    }
    let well = report.refused.is_empty() && report.unknown.is_empty();
    Ok(Outcome::well_if(well))
}

fn print(report: &Report) -> io::Result<()> {
    let dry_run = if report.dry_run {
        " (dry run: nothing was changed)"
    } else {
        ""
    };
    output::line(format!(
        "{} accepted, {} duplicates, {} refused{dry_run}",
        count(report.accepted),
        count(report.duplicates),
        report.refused.len(),
    ))?;
    for refused in &report.refused {
        let reason = style(plain(&refused.reason)).yellow();
        output::line(format!("{:>6}  {reason}", refused.id))?;
    }
    Ok(())
}

/// The ids that no dead letter has. The server only counts those that it knows, so if any is unknown, each id is asked for
/// alone.
async fn unknown_ids(client: &Client, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let ids: BTreeSet<i64> = ids.iter().copied().collect();
    if ids.is_empty() || count_known(client, ids.iter().copied().collect()).await? == ids.len() {
        return Ok(Vec::new());
    }
    let mut unknown = Vec::new();
    for id in ids {
        if count_known(client, vec![id]).await? == 0 {
            unknown.push(id);
        }
    }
    Ok(unknown)
}

async fn count_known(client: &Client, ids: Vec<i64>) -> Result<usize, Error> {
    let told = client.replay(&Selection::Ids(ids), true).await?;
    let replayable = usize::try_from(told.accepted + told.duplicates).unwrap_or(0);
    Ok(replayable + told.refused.len())
}

async fn delete(client: &Client, ids: &[i64]) -> Result<Outcome, Error> {
    let mut outcome = Outcome::Well;
    for &id in ids {
        if !client.delete_dead_letter(id).await? {
            outcome = unknown(id);
        }
    }
    Ok(outcome)
}

fn unknown(id: i64) -> Outcome {
    output::tell(format!(
        "no dead letter has the id {id}; `eventctl dead-letters list` shows those that there are"
    ));
    Outcome::Unwell
}

/// What was in the queue; bytes that are not text are shown in hexadecimal.
fn raw(letter: &DeadLetter) -> String {
    match (&letter.raw_hex, &letter.raw) {
        (Some(hex), _) => format!("0x{hex}"),
        (None, Some(text)) => plain(text),
        (None, None) => String::new(),
    }
}
