//! What is stored: the answers of `POST /ingest` and `GET /events`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::verbatim::Verbatim;

/// An event as it is stored. Times are in UTC, as in `2026-01-01T12:00:00Z`.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredEvent {
    /// Its number in the store. Numbers grow, and they may have gaps.
    pub id: i64,
    /// Its topic.
    pub topic: String,
    /// Its id, unique within the topic.
    pub event_id: String,
    /// When it happened, as the client said.
    pub timestamp: String,
    /// Who sent it.
    pub source: String,
    /// Its data, as the client wrote it.
    pub payload: Box<RawValue>,
    /// When its first delivery was accepted.
    pub received_at: String,
    /// When it was stored.
    pub processed_at: String,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// What was stored first comes first.
    Oldest,
    /// What was stored last comes first.
    Newest,
}

/// Which events to list. The default lists all, from the beginning.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EventQuery {
    /// Only events of this topic.
    pub topic: Option<String>,
    /// Only events of this source.
    pub source: Option<String>,
    /// Only events with this timestamp or a later one.
    pub since: Option<String>,
    /// Only events with an earlier timestamp.
    pub until: Option<String>,
    /// Only events that were received at this moment or later.
    pub received_since: Option<String>,
    /// Only events that were received earlier.
    pub received_until: Option<String>,
    /// Which end of the list comes first; the server's default is the oldest event.
    pub order: Option<Order>,
    /// How many events a page may have: 1 to 1000; the server's default is 100.
    pub limit: Option<u64>,
    /// Where the page begins: [`EventPage::next_cursor`] of the page before. It is a place in the list, so a list can be read
    /// from there in the other order, too.
    pub cursor: Option<String>,
}

/// Which topics come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicOrder {
    /// By name.
    Name,
    /// The topic with the most events.
    Count,
    /// The topic with the latest delivery.
    Recent,
}

/// Which topics to list. The default lists all, by name.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TopicQuery {
    /// Only topics that begin with this text.
    pub prefix: Option<String>,
    /// Which come first.
    pub order: Option<TopicOrder>,
    /// How many topics a page may have: 1 to 1000; the server's default is 100.
    pub limit: Option<u64>,
    /// Where the page begins: [`TopicPage::next_cursor`] of the page before, in the same order.
    pub cursor: Option<String>,
}

/// What is known of a topic. Times are in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicStats {
    /// Its name.
    pub topic: String,
    /// How many events are stored.
    pub unique_processed: i64,
    /// How many deliveries repeated a stored event.
    pub duplicate_dropped: i64,
    /// When its first event was stored.
    pub first_processed_at: String,
    /// When its last delivery was counted.
    pub last_processed_at: String,
}

/// A page of topics.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopicPage {
    /// The topics, in the order that was asked for.
    pub topics: Vec<TopicStats>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// A page of stored events. A page with a filter may be short or empty before the end.
#[derive(Debug, Clone, Deserialize)]
pub struct EventPage {
    /// The events, in the order that was asked for.
    pub events: Vec<Verbatim<StoredEvent>>,
    /// Where the next page begins; `None` at the end.
    pub next_cursor: Option<String>,
}

/// What became of a batch that was stored at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ingested {
    /// How many events were stored.
    pub accepted: u64,
    /// How many were stored before.
    pub duplicates: u64,
    /// How many could not be stored.
    pub dead_lettered: u64,
    /// What became of each event, in the order of the batch.
    pub results: Vec<IngestedEvent>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IngestedEvent {
    /// What became of it.
    pub status: IngestStatus,
    /// Its topic.
    pub topic: String,
    /// Its id.
    pub event_id: String,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestStatus {
    /// It is stored now.
    Accepted,
    /// It was stored before.
    Duplicate,
    /// The database refused it; it is a dead letter now.
    DeadLettered,
}
