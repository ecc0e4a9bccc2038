#![doc = include_str!("../README.md")]
//!
//! # Modules
//! - `client`: one method for each call
//! - `transport`: repeats requests; `retry` decides how often, `tls` whom to trust
//! - `waiting`: tells that a call waits for a server
//! - `batch`, `counters`, `stored`, `dead_letters`, `problem`: what is sent and what is answered

mod batch;
mod client;
mod counters;
mod dead_letters;
mod error;
mod options;
mod problem;
mod retry;
mod server;
mod stored;
mod tls;
mod transport;
mod verbatim;
mod waiting;

#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use reqwest::Url;
pub use secrecy::SecretString;
pub use tokio_util::sync::CancellationToken;

pub use crate::{
    batch::{Batch, Event},
    client::Client,
    counters::{ListedTopics, QueueDepth, Stats},
    dead_letters::{DeadLetter, DeadLetterPage, Refused, Replayed, Selection},
    error::Error,
    options::Options,
    problem::{BatchItem, Problem},
    retry::RetryPolicy,
    stored::{
        EventPage, EventQuery, IngestStatus, Ingested, IngestedEvent, Order, StoredEvent,
        TopicOrder, TopicPage, TopicQuery, TopicStats,
    },
    tls::{CertificateError, Distrust, DistrustKind, TlsOptions},
    transport::FailedAttempt,
    verbatim::Verbatim,
    waiting::{Observer, Waiting},
};
