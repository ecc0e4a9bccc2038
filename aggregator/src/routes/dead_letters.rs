//! `GET /dead-letters`, `POST /dead-letters/replay`, `DELETE /dead-letters/{id}`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Payload},
};
use common::{
    auth::Caller,
    event::EventTime,
    hex::hex,
    http::{
        batch,
        parameters::{brief, flag, optional, query},
        problem::{Kind, Problem},
    },
    store::{Cursor, DeadLetter, Limit, Selection},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Api, parameters::limit};

/// A list of ids is no longer than this.
const MAX_REPLAY_BODY_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    limit: Option<String>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    dead_letters: Vec<Letter>,
    count: usize,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Letter {
    id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// Instead of `raw`, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
    reason: String,
    receipt_id: Option<Uuid>,
    failed_at: EventTime,
}

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        let (raw, raw_hex) = match String::from_utf8(letter.raw) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(hex(error.as_bytes()))),
        };
        Self {
            id: letter.id,
            raw,
            raw_hex,
            reason: letter.reason,
            receipt_id: letter.receipt_id,
            failed_at: letter.failed_at,
        }
    }
}

pub(super) async fn list(
    request: HttpRequest,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    caller.check_all_topics()?;
    let parameters: ListParameters = query(&request)?;
    let limit = limit(parameters.limit)?;
    let after = optional("cursor", parameters.cursor, |text| text.parse::<Cursor>())?;
    let page = api.store.dead_letters(after, limit).await?;
    Ok(HttpResponse::Ok().json(Listed {
        count: page.items.len(),
        dead_letters: page.items.into_iter().map(Letter::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayParameters {
    dry_run: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    ids: Option<Vec<i64>>,
    all: Option<bool>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Replay {
    dry_run: bool,
    accepted: i64,
    duplicates: i64,
    refused: Vec<Refused>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Refused {
    id: i64,
    reason: String,
}

pub(super) async fn replay(
    request: HttpRequest,
    payload: Payload,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    caller.check_all_topics()?;
    let parameters: ReplayParameters = query(&request)?;
    let dry_run = flag("dry_run", parameters.dry_run)?;
    let body = batch::read_json(&request, payload, MAX_REPLAY_BODY_BYTES).await?;
    let body: ReplayBody = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(Kind::InvalidParameter, selection_detail(&brief(&error))))?;
    let replayed = api.store.replay(&selection(body)?, dry_run).await?;
    Ok(HttpResponse::Ok().json(Replay {
        dry_run,
        accepted: replayed.accepted,
        duplicates: replayed.duplicates,
        refused: replayed
            .refused
            .into_iter()
            .map(|(id, reason)| Refused { id, reason })
            .collect(),
        next_cursor: replayed.next.map(|cursor| cursor.to_string()),
    }))
}

fn selection(body: ReplayBody) -> Result<Selection, Problem> {
    match (body.ids, body.all, body.cursor) {
        (Some(ids), None, None) if ids.len() <= usize::from(Limit::MAX) => Ok(Selection::Ids(ids)),
        (None, Some(true), cursor) => {
            let cursor = optional("cursor", cursor, |text| text.parse::<Cursor>())?;
            Ok(Selection::After(cursor))
        }
        _ => Err(Problem::new(
            Kind::InvalidParameter,
            selection_detail("it is neither"),
        )),
    }
}

fn selection_detail(found: &str) -> String {
    format!(
        "the body must be {{\"ids\":[…]}} with up to {} ids, or {{\"all\":true}}, which a \
         \"cursor\" may go with: {found}",
        Limit::MAX
    )
}

pub(super) async fn discard(
    id: Path<String>,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    caller.check_all_topics()?;
    let unknown = || Problem::new(Kind::NotFound, "no dead letter has this id");
    let id: i64 = id.parse().map_err(|_| unknown())?;
    if api.store.discard(id).await? {
        Ok(HttpResponse::NoContent().finish())
    } else {
        Err(unknown())
    }
}
