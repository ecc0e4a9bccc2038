//! The client: one method for each call.

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::{
    batch::Batch,
    counters::{ListedTopics, Stats},
    dead_letters::{DeadLetterPage, Replayed, Selection},
    error::Error,
    options::Options,
    server::Server,
    stored::{EventPage, EventQuery, Ingested, StoredEvent, TopicPage, TopicQuery},
    transport::{FailedAttempt, Transport, read},
    verbatim::Verbatim,
};

/// A client of a publisher and an aggregator, or of a standalone server, which is both. It can be cloned cheaply, and all
/// clones share their connections.
///
/// Every method repeats its request as [`RetryPolicy`](crate::RetryPolicy) says, unless its description says otherwise.
/// To drop the future of a method is safe: a request that is under way may or may not have an effect, and to send the
/// same events again is safe.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    publisher: Server,
    aggregator: Server,
}

/// Which part of a list to show.
#[derive(Serialize)]
struct Part<'a> {
    limit: u64,
    cursor: Option<&'a str>,
}

impl Client {
    /// A client with these options. It makes no connection yet.
    ///
    /// # Errors
    /// If an address is not one of HTTP, if the key has characters that no key has, or if a certificate cannot be used.
    pub fn new(options: Options) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(&options)?,
            publisher: Server::new(options.url)?,
            aggregator: Server::new(options.read_url)?,
        })
    }

    /// The token of [`Options::stop`].
    #[must_use]
    pub const fn stop(&self) -> &CancellationToken {
        self.transport.stop()
    }

    /// Waits until the servers say that they can do their work (`GET /ready`).
    ///
    /// # Errors
    /// [`Error::Away`] if they are not ready within the patience, with the reason that they gave.
    pub async fn ready(&self) -> Result<(), Error> {
        for server in [&self.publisher, &self.aggregator] {
            let url = server.endpoint(&["ready"]);
            let request = || self.transport.http().get(url.clone());
            self.transport.send(server, request, |_| ()).await?;
        }
        Ok(())
    }

    /// Publishes a batch (`POST /publish`). When this returns, the server has accepted all events of the batch durably, and
    /// it will store each of them once.
    ///
    /// # Errors
    /// [`Error::Refused`] if an event is not valid; then no event of the batch is accepted, and [`Problem::errors`] names
    /// those that are wrong. [`Error::Away`] and [`Error::Interrupted`] leave open whether the events were accepted.
    ///
    /// [`Problem::errors`]: crate::Problem::errors
    pub async fn publish(&self, batch: &Batch) -> Result<(), Error> {
        self.publish_observed(batch, |_| ()).await
    }

    /// Publishes a batch as [`publish`](Self::publish) does, and tells `failed` of each attempt that did not decide it.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn publish_observed(
        &self,
        batch: &Batch,
        failed: impl FnMut(&FailedAttempt),
    ) -> Result<(), Error> {
        let sent = self.post_batch(&self.publisher, "publish", batch, failed);
        sent.await.map(drop)
    }

    /// Stores a batch at once and tells what became of each event (`POST /ingest`, which the aggregator and the standalone
    /// server have). After an attempt whose answer was lost, an event of this batch may count as its own duplicate.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn ingest(&self, batch: &Batch) -> Result<Ingested, Error> {
        self.ingest_observed(batch, |_| ()).await
    }

    /// Stores a batch as [`ingest`](Self::ingest) does, and tells `failed` of each attempt that did not decide it.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub async fn ingest_observed(
        &self,
        batch: &Batch,
        failed: impl FnMut(&FailedAttempt),
    ) -> Result<Ingested, Error> {
        let server = &self.aggregator;
        let response = self.post_batch(server, "ingest", batch, failed).await?;
        read(server, response).await
    }

    /// Lists topics (`GET /topics`).
    pub async fn topics(&self, query: &TopicQuery) -> Result<TopicPage, Error> {
        self.get(&["topics"], query).await
    }

    /// Reads one event (`GET /events/{topic}/{event_id}`).
    ///
    /// # Errors
    /// [`Error::Refused`] with the status 404 if there is no such event.
    pub async fn event(&self, topic: &str, event_id: &str) -> Result<Verbatim<StoredEvent>, Error> {
        self.get(&["events", topic, event_id], &()).await
    }

    /// Reads the counters (`GET /stats`).
    pub async fn stats(&self, topics: ListedTopics) -> Result<Stats, Error> {
        self.get(&["stats"], &topics.query()).await
    }

    /// Reads the counters as [`stats`](Self::stats) does, but tries only once. This is for those who will look again soon.
    pub async fn stats_once(&self, topics: ListedTopics) -> Result<Stats, Error> {
        let server = &self.aggregator;
        let request = self.transport.http().get(server.endpoint(&["stats"]));
        let request = request.query(topics.query());
        let response = self.transport.send_once(server, request).await?;
        read(server, response).await
    }

    /// Lists stored events, oldest first (`GET /events`). The last page may be read again later: more may be on it then.
    pub async fn events(&self, query: &EventQuery) -> Result<EventPage, Error> {
        self.get(&["events"], query).await
    }

    /// Lists dead letters, oldest first (`GET /dead-letters`): up to `limit` of them, which is 1 to 1000, from `cursor` on,
    /// which is the `next_cursor` of the page before.
    pub async fn dead_letters(
        &self,
        limit: u64,
        cursor: Option<&str>,
    ) -> Result<DeadLetterPage, Error> {
        self.get(&["dead-letters"], &Part { limit, cursor }).await
    }

    /// Tries again to store dead letters (`POST /dead-letters/replay`). A dry run only tells what would happen.
    pub async fn replay(&self, selection: &Selection, dry_run: bool) -> Result<Replayed, Error> {
        let server = &self.aggregator;
        let url = server.endpoint(&["dead-letters", "replay"]);
        let request = || {
            let request = self.transport.http().post(url.clone());
            request.query(&[("dry_run", dry_run)]).json(selection)
        };
        let response = self.transport.send(server, request, |_| ()).await?;
        read(server, response).await
    }

    /// Deletes the content of a dead letter, which stays counted (`DELETE /dead-letters/{id}`). Returns `false` if there is
    /// no such dead letter.
    pub async fn delete_dead_letter(&self, id: i64) -> Result<bool, Error> {
        let server = &self.aggregator;
        let url = server.endpoint(&["dead-letters", &id.to_string()]);
        let request = || self.transport.http().delete(url.clone());
        match self.transport.send(server, request, |_| ()).await {
            Ok(_) => Ok(true),
            Err(Error::Refused(problem)) if problem.status == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<T, Error> {
        let server = &self.aggregator;
        let url = server.endpoint(path);
        let request = || self.transport.http().get(url.clone()).query(query);
        let response = self.transport.send(server, request, |_| ()).await?;
        read(server, response).await
    }

    async fn post_batch(
        &self,
        server: &Server,
        call: &str,
        batch: &Batch,
        failed: impl FnMut(&FailedAttempt),
    ) -> Result<reqwest::Response, Error> {
        let url = server.endpoint(&[call]);
        let request = || {
            let request = self.transport.http().post(url.clone());
            let request = request.header(CONTENT_TYPE, "application/json");
            let request = request.body(batch.bytes.clone());
            if batch.is_gzip {
                request.header(CONTENT_ENCODING, "gzip")
            } else {
                request
            }
        };
        self.transport.send(server, request, failed).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::testing::{Answer, FakeServer, Request};

    const PATIENCE: Duration = Duration::from_secs(20);

    fn batch() -> Batch {
        Batch::from_json(r#"[{"id":"a"}]"#)
    }

    fn problem(status: u16, kind: &str) -> Answer {
        let kind = format!("urn:event-aggregator:problem:{kind}");
        Answer::json(status, &json!({"type": kind, "status": status})).asking_to_wait(1)
    }

    /// Makes a call to a server that gives one answer; returns what the call did, and its request.
    async fn call<T>(answer: Answer, call: impl AsyncFnOnce(Client) -> T) -> (T, Request) {
        let server = FakeServer::start(vec![answer]).await;
        let returned = call(server.client(PATIENCE)).await;
        (returned, server.requests().remove(0))
    }

    #[tokio::test]
    async fn the_same_events_are_sent_until_they_are_accepted() {
        let server = FakeServer::start(vec![
            problem(429, "too-many"),
            problem(503, "unavailable"),
            Answer::hang_up(),
        ])
        .await;
        let (start, mut uncertain) = (Instant::now(), Vec::new());
        let failed = |failure: &FailedAttempt| uncertain.push(failure.is_uncertain);
        let client = server.client(PATIENCE);
        client.publish_observed(&batch(), failed).await.unwrap();
        assert_eq!(uncertain, [false, true, true]);
        let waited = start.elapsed();
        assert!(
            waited >= Duration::from_secs(2),
            "a second, twice: {waited:?}"
        );
        let requests = server.requests();
        assert_eq!(requests.len(), 4);
        assert!(
            requests
                .iter()
                .all(|request| request.body == *batch().bytes)
        );
        assert!(requests[0].head.contains("authorization: bearer secret"));
    }

    #[tokio::test]
    async fn a_server_that_stays_away_is_given_up() {
        let server = FakeServer::start(vec![problem(503, "queue-full")]).await;
        let client = server.client(Duration::from_millis(500));
        let error = client.publish(&batch()).await.unwrap_err();
        assert!(matches!(error, Error::Away { attempts: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_refusal_is_not_tried_again() {
        let server = FakeServer::start(vec![problem(401, "unauthorized")]).await;
        let error = server.client(PATIENCE).publish(&batch()).await.unwrap_err();
        let name = error.problem().and_then(|problem| problem.name());
        assert_eq!(name, Some("unauthorized"));
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let server = FakeServer::start(vec![problem(503, "queue-full")]).await;
        let client = server.client(PATIENCE);
        client.stop().cancel();
        let error = client.publish(&batch()).await.unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }

    #[tokio::test]
    async fn a_compressed_batch_says_so() {
        let publish =
            async |client: Client| client.publish(&batch().gzip().unwrap()).await.unwrap();
        let ((), request) = call(Answer::accepted(), publish).await;
        assert!(request.head.contains("content-encoding: gzip"));
        assert_eq!(request.body, *batch().gzip().unwrap().bytes);
    }

    #[tokio::test]
    async fn an_ingested_batch_tells_what_became_of_each_event() {
        let answer = Answer::json(
            200,
            &json!({"accepted": 1, "duplicates": 0, "dead_lettered": 0,
                "results": [{"status": "accepted", "event_id": "a", "topic": "default"}]}),
        );
        let ingest = async |client: Client| client.ingest(&batch()).await.unwrap();
        let (ingested, request) = call(answer, ingest).await;
        assert_eq!((ingested.accepted, ingested.results.len()), (1, 1));
        assert!(request.head.starts_with("post /ingest http"));
    }

    #[tokio::test]
    async fn a_list_is_asked_for_with_what_is_given_and_nothing_else() {
        let query = EventQuery {
            topic: Some("a b".to_owned()),
            limit: Some(5),
            ..EventQuery::default()
        };
        let answer = Answer::json(200, &json!({"events": [], "next_cursor": null}));
        let list = async |client: Client| client.events(&query).await.unwrap();
        let (page, request) = call(answer, list).await;
        assert!(page.events.is_empty() && page.next_cursor.is_none());
        assert!(
            request
                .head
                .starts_with("get /events?topic=a+b&limit=5 http")
        );
    }

    #[tokio::test]
    async fn a_dead_letter_that_is_not_there_is_not_an_error() {
        let delete = async |client: Client| client.delete_dead_letter(7).await.unwrap();
        let (deleted, request) = call(problem(404, "not-found"), delete).await;
        assert!(!deleted && request.head.starts_with("delete /dead-letters/7 http"));
    }

    #[tokio::test]
    async fn dead_letters_are_replayed_by_number_or_from_a_cursor_on() {
        for (selection, body) in [
            (Selection::Ids(vec![1, 2]), json!({"ids": [1, 2]})),
            (Selection::All, json!({"all": true})),
            (
                Selection::AllFrom("c".to_owned()),
                json!({"all": true, "cursor": "c"}),
            ),
        ] {
            let answer = json!({"dry_run": true, "accepted": 0, "duplicates": 0, "refused": [], "next_cursor": null});
            let replay = async |client: Client| client.replay(&selection, true).await.unwrap();
            let (replayed, request) = call(Answer::json(200, &answer), replay).await;
            assert!(replayed.dry_run && request.head.contains("?dry_run=true http"));
            assert_eq!(request.body, body.to_string().into_bytes());
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_ready_is_waited_for() {
        let server = FakeServer::start(vec![problem(503, "not-ready")]).await;
        server.client(PATIENCE).ready().await.unwrap();
        let calls = server.requests();
        assert!(
            calls
                .iter()
                .all(|request| request.head.starts_with("get /ready http"))
        );
        assert_eq!(calls.len(), 3, "one was not ready, then both were");
    }

    #[tokio::test]
    async fn an_answer_of_another_program_cannot_be_read() {
        let stats = async |client: Client| client.stats(ListedTopics::Top).await.unwrap_err();
        let (error, _) = call(Answer::json(200, &json!("hello")), stats).await;
        assert!(matches!(error, Error::UnreadableAnswer { .. }), "{error}");
    }
}
