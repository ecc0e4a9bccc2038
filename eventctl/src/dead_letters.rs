//! `eventctl dead-letters`: what could not be stored, and what to do with it.

use std::collections::BTreeSet;

use console::{Term, style};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{cli::DeadLettersCommand, client::Client, error::Error, exit::Outcome, output};

/// Dead letters in one answer.
const PAGE: u64 = 500;

#[derive(Debug, Deserialize)]
struct Page {
    dead_letters: Vec<Value>,
    next_cursor: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Replayed {
    dry_run: bool,
    accepted: i64,
    duplicates: i64,
    refused: Vec<Refused>,
    /// Ids that were asked for and that no dead letter has.
    #[serde(skip_deserializing)]
    unknown: Vec<i64>,
    #[serde(skip_serializing)]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    id: i64,
    reason: String,
}

/// Does one of the things that can be done with dead letters.
///
/// # Errors
/// If the server is away or refuses.
pub async fn run(
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

/// Hands dead letters to `each`, oldest first, for as long as it returns `true`.
async fn walk(
    client: &Client,
    mut each: impl FnMut(&Value) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut cursor: Option<String> = None;
    while !client.stop().is_cancelled() {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page: Page = client.get(&["dead-letters"], &query).await?;
        for letter in &page.dead_letters {
            if !each(letter)? {
                return Ok(());
            }
        }
        // Each cursor is further on than the one before: this ends where the list does.
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
    Err(Error::Interrupted)
}

async fn list(client: &Client, limit: u64, json: bool) -> Result<Outcome, Error> {
    let mut left = limit;
    walk(client, |letter| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        if json {
            output::json(letter)?;
            return Ok(true);
        }
        let line = format!(
            "{:>6}  {}  {}  {}",
            letter["id"],
            style(text(&letter["failed_at"])).dim(),
            style(text(&letter["reason"])).yellow(),
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
        if letter["id"] == id {
            found = Some(letter.clone());
        }
        Ok(found.is_none())
    })
    .await?;
    let Some(letter) = found else {
        return Ok(unknown(id));
    };
    if json {
        output::json(&letter)?;
        return Ok(Outcome::Well);
    }
    for name in ["id", "failed_at", "receipt_id", "reason"] {
        output::line(format!("{name:<11} {}", text(&letter[name])))?;
    }
    output::line(format!("{:<11} {}", "raw", raw(&letter)))?;
    Ok(Outcome::Well)
}

async fn replay(client: &Client, ids: &[i64], dry_run: bool, json: bool) -> Result<Outcome, Error> {
    let mut all = Replayed {
        dry_run,
        unknown: unknown_ids(client, ids).await?,
        ..Replayed::default()
    };
    let known: Vec<i64> = ids
        .iter()
        .copied()
        .filter(|id| !all.unknown.contains(id))
        .collect();
    let mut next = match (ids.is_empty(), known.is_empty()) {
        (true, _) => Some(json!({ "all": true })),
        (false, true) => None,
        (false, false) => Some(json!({ "ids": known })),
    };
    // Each cursor is further on than the one before: this ends where the list does.
    while let Some(body) = next.take_if(|_| !client.stop().is_cancelled()) {
        let part = ask(client, &body, dry_run).await?;
        all.accepted += part.accepted;
        all.duplicates += part.duplicates;
        all.refused.extend(part.refused);
        next = part
            .next_cursor
            .map(|cursor| json!({ "all": true, "cursor": cursor }));
    }
    for &id in &all.unknown {
        unknown(id);
    }
    if json {
        output::json(&all)?;
    } else if all.unknown.is_empty() || !known.is_empty() {
        let would = if dry_run {
            " (dry run: nothing was changed)"
        } else {
            ""
        };
        output::line(format!(
            "{} accepted, {} duplicates, {} refused{would}",
            output::number(all.accepted),
            output::number(all.duplicates),
            all.refused.len(),
        ))?;
        for refused in &all.refused {
            let reason = style(output::plain(&refused.reason)).yellow();
            output::line(format!("{:>6}  {reason}", refused.id))?;
        }
    }
    if client.stop().is_cancelled() {
        if next.is_some() {
            output::tell("not finished: the same command goes on with what is left");
        }
        return Ok(Outcome::Interrupted);
    }
    let well = all.refused.is_empty() && all.unknown.is_empty();
    Ok(Outcome::well_if(well))
}

async fn ask(client: &Client, body: &Value, dry_run: bool) -> Result<Replayed, Error> {
    let query = [("dry_run", dry_run.to_string())];
    client.post(&["dead-letters", "replay"], &query, body).await
}

/// Those of the ids that no dead letter has. The server does not name them, so each is asked for alone, if any is.
async fn unknown_ids(client: &Client, ids: &[i64]) -> Result<Vec<i64>, Error> {
    let ids: BTreeSet<i64> = ids.iter().copied().collect();
    if ids.is_empty() || count_known(client, &ids).await? == ids.len() {
        return Ok(Vec::new());
    }
    let mut unknown = Vec::new();
    for id in ids {
        if count_known(client, &[id].into()).await? == 0 {
            unknown.push(id);
        }
    }
    Ok(unknown)
}

async fn count_known(client: &Client, ids: &BTreeSet<i64>) -> Result<usize, Error> {
    let told = ask(client, &json!({ "ids": ids }), true).await?;
    let settled = usize::try_from(told.accepted + told.duplicates).unwrap_or(0);
    Ok(settled + told.refused.len())
}

async fn delete(client: &Client, ids: &[i64]) -> Result<Outcome, Error> {
    let mut outcome = Outcome::Well;
    for id in ids {
        if !client.delete(&["dead-letters", &id.to_string()]).await? {
            outcome = unknown(*id);
        }
    }
    Ok(outcome)
}

fn unknown(id: i64) -> Outcome {
    output::tell(format!("no dead letter has the id {id}"));
    Outcome::Unwell
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => output::plain(text),
        other => other.to_string(),
    }
}

/// What was in the queue; bytes that are no text are shown in hexadecimal.
fn raw(letter: &Value) -> String {
    match &letter["raw_hex"] {
        Value::String(hex) => format!("0x{hex}"),
        _ => text(&letter["raw"]),
    }
}
