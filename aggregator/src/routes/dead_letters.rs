//! `GET /dead-letters`, `POST /dead-letters/replay`, `DELETE /dead-letters/{id}`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Payload},
};
use edge::{
    auth::Caller,
    batch,
    openapi::{Answers, problems},
    parameters::{brief, flag, optional, query},
    problem::{Kind, Problem},
};
use event::{
    EventTime,
    schema::{from_json, or_null},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Cursor, DeadLetter, Limit, Order, Selection};
use utoipa::{
    IntoParams, IntoResponses, PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

use super::lists::{ListProblems, part};
use crate::api::Api;

/// A list of ids is no longer than this.
const MAX_REPLAY_BODY_BYTES: usize = 64 * 1024;

/// Each is parsed by name, by the rules of its schema.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// Which end of the list comes first
    #[param(value_type = Order, required = false)]
    order: Option<String>,
    /// At most so many
    #[param(value_type = u16, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<String>,
    /// Only after this place
    #[param(value_type = Cursor, required = false)]
    cursor: Option<String>,
}

/// A part of the dead letters.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetterPage {
    #[schema(max_items = 1000)]
    dead_letters: Vec<Letter>,
    /// How many are in this part.
    count: usize,
    /// Where the next part begins; null at the end.
    #[schema(value_type = Option<Cursor>, required)]
    next_cursor: Option<String>,
}

/// What could not be stored.
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct Letter {
    id: i64,
    /// The queue element.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    raw: Option<String>,
    /// Instead of `raw`, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^([0-9a-f]{2})*$")]
    raw_hex: Option<String>,
    /// Why it could not be stored.
    reason: String,
    /// Of the event in it; null if no event in it can be read.
    #[schema(schema_with = receipt_id, required)]
    receipt_id: Option<Uuid>,
    failed_at: EventTime,
}

fn receipt_id() -> RefOr<Schema> {
    from_json(or_null(&json!({"type": "string", "format": "uuid"})))
}

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        let (raw, raw_hex) = match String::from_utf8(letter.raw) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(hex::encode(error.as_bytes()))),
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

/// What could not be stored
///
/// Not for a key that is for some topics only.
#[utoipa::path(get, path = "/dead-letters", params(ListParameters),
    operation_id = "list_dead_letters",
    responses((status = 200, description = "A part of it", body = DeadLetterPage), ListProblems))]
pub(super) async fn list(
    request: HttpRequest,
    caller: Caller,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    caller.check_all_topics()?;
    let parameters: ListParameters = query(&request)?;
    let part = part(parameters.order, parameters.limit, parameters.cursor)?;
    let page = api.store.dead_letters(part).await?;
    Ok(HttpResponse::Ok().json(DeadLetterPage {
        count: page.items.len(),
        dead_letters: page.items.into_iter().map(Letter::from).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReplayParameters {
    /// Only say what would become of them
    #[param(value_type = bool, required = false, default = false)]
    dry_run: Option<String>,
}

/// Which dead letters are meant, as a description has it.
pub(super) struct Selected;

/// The two ways to say it.
struct SelectedIds;
struct SelectedAll;

impl PartialSchema for Selected {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "description": "These, or all after a place (a thousand at a time)",
            "anyOf": [
                {"$ref": "#/components/schemas/SelectedIds"},
                {"$ref": "#/components/schemas/SelectedAll"}
            ],
            "examples": [{"ids": [1, 2]}, {"all": true}]
        }))
    }
}

impl PartialSchema for SelectedIds {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "object",
            "required": ["ids"],
            "properties": {
                "ids": {
                    "type": "array",
                    "items": {"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX},
                    "maxItems": Limit::MAX
                }
            },
            "additionalProperties": false
        }))
    }
}

impl PartialSchema for SelectedAll {
    fn schema() -> RefOr<Schema> {
        from_json(json!({
            "type": "object",
            "required": ["all"],
            "properties": {
                "all": {"type": "boolean", "enum": [true]},
                "cursor": or_null(&json!({"$ref": "#/components/schemas/Cursor"}))
            },
            "additionalProperties": false
        }))
    }
}

impl ToSchema for Selected {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Cursor::name().into_owned(), Cursor::schema()));
        schemas.push(("SelectedIds".to_owned(), SelectedIds::schema()));
        schemas.push(("SelectedAll".to_owned(), SelectedAll::schema()));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    ids: Option<Vec<Id>>,
    all: Option<bool>,
    cursor: Option<String>,
}

/// What became of dead letters.
#[derive(Serialize, ToSchema)]
pub(super) struct Replayed {
    dry_run: bool,
    /// Now stored.
    accepted: i64,
    /// Their identity was stored before.
    duplicates: i64,
    /// They stay dead letters.
    refused: Vec<Refused>,
    /// Where to go on with `all`; null at the end.
    #[schema(value_type = Option<Cursor>, required)]
    next_cursor: Option<String>,
}

/// A dead letter that stays one.
#[derive(Serialize, ToSchema)]
struct Refused {
    id: i64,
    /// Why it could not be stored.
    reason: String,
}

struct ReplayProblems;

impl IntoResponses for ReplayProblems {
    fn responses() -> Answers {
        problems(&[
            Kind::MalformedBody,
            Kind::InvalidParameter,
            Kind::RequestTimeout,
            Kind::TooLarge,
            Kind::UnsupportedMediaType,
            Kind::Overloaded,
            Kind::Unavailable,
        ])
    }
}

/// Try to store dead letters again
///
/// What is stored then is a dead letter no more. Not for a key that is for some topics only.
#[utoipa::path(
    post,
    path = "/dead-letters/replay",
    operation_id = "replay_dead_letters",
    params(ReplayParameters, batch::Encoded),
    request_body(description = "65536 bytes at most", content = Selected),
    responses(
        (status = 200, description = "What became of them", body = Replayed, example = json!({
            "dry_run": false, "accepted": 1, "duplicates": 0,
            "refused": [{"id": 2, "reason": "is not an envelope: expected value at line 1 column 1"}],
            "next_cursor": null,
        })),
        ReplayProblems,
    ),
)]
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
    Ok(HttpResponse::Ok().json(Replayed {
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

/// The number of a dead letter. JSON has one kind of numbers, so 1.0 is 1.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Number")]
struct Id(i64);

impl TryFrom<serde_json::Number> for Id {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        /// 2^53: up to here, a float is the number that was written.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let whole = |number: &f64| number.fract() == 0.0 && number.abs() <= EXACT;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
        let from_float = || Some(number.as_f64().filter(whole)? as i64);
        let id = number.as_i64().or_else(from_float);
        id.map(Self).ok_or("an id is a whole number of 64 bits")
    }
}

fn selection(body: ReplayBody) -> Result<Selection, Problem> {
    match (body.ids, body.all, body.cursor) {
        (Some(ids), None, None) if ids.len() <= usize::from(Limit::MAX) => {
            Ok(Selection::Ids(ids.into_iter().map(|Id(id)| id).collect()))
        }
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

struct DiscardProblems;

impl IntoResponses for DiscardProblems {
    fn responses() -> Answers {
        problems(&[Kind::NotFound, Kind::Overloaded, Kind::Unavailable])
    }
}

/// Throw away what is in a dead letter
///
/// It was received, so it stays counted. Not for a key that is for some topics only.
#[utoipa::path(delete, path = "/dead-letters/{id}", operation_id = "discard_dead_letter",
    params(("id" = i64, Path)),
    responses((status = 204, description = "It is gone"), DiscardProblems))]
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
