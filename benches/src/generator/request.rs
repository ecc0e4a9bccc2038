//! A request whose bytes are prepared. Only the ids of its events change, and they keep their length.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::workload::{self, Factory, ID_BYTES};

/// The number of the next event. The whole process shares it, so that no two requests have the same id. It begins far above the
/// numbers of streams.
static NEXT: AtomicU64 = AtomicU64::new(1 << 48);

/// A request, and where in it the ids are.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the body begins.
    body: usize,
    ids: Vec<usize>,
}

impl Template {
    /// A `POST` of this many events: one is sent as an object, several as an array.
    pub(crate) fn events(path: &str, count: u64, payload_bytes: usize) -> Self {
        Self::in_topics(path, count, payload_bytes, workload::topic)
    }

    /// A `POST` of one event of this topic.
    pub(crate) fn probe(path: &str, topic: &str) -> Self {
        Self::in_topics(path, 1, workload::PAYLOAD_BYTES, |_| topic.to_owned())
    }

    fn in_topics(
        path: &str,
        count: u64,
        payload_bytes: usize,
        topic: impl Fn(u64) -> String,
    ) -> Self {
        let (factory, mut ids, mut body) = (Factory::new(), Vec::new(), Vec::new());
        for number in 0..count {
            let before: &[u8] = if number == 0 { b"[" } else { b"," };
            body.extend_from_slice(before);
            body.extend_from_slice(br#"{"event_id":""#);
            ids.push(body.len());
            body.extend_from_slice(&[b'0'; ID_BYTES]);
            let rest = format!(
                r#"","topic":"{}","timestamp":"2026-01-01T00:00:00Z","source":"benches","payload":{}}}"#,
                topic(number),
                factory.payload(number, payload_bytes)
            );
            body.extend_from_slice(rest.as_bytes());
        }
        body.push(b']');
        // One event has no brackets around it.
        let body = if count == 1 {
            &body[1..body.len() - 1]
        } else {
            &body[..]
        };
        let shift = usize::from(count == 1);
        let mut bytes = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let head = bytes.len();
        let ids = ids.iter().map(|at| bytes.len() + at - shift).collect();
        bytes.extend_from_slice(body);
        Self {
            bytes,
            body: head,
            ids,
        }
    }

    /// The length of the body.
    pub(crate) fn body_bytes(&self) -> u64 {
        (self.bytes.len() - self.body) as u64
    }

    /// The bytes, with ids that no request had before.
    pub(crate) fn next(&mut self) -> &[u8] {
        let first = NEXT.fetch_add(self.ids.len() as u64, Ordering::Relaxed);
        for (number, &at) in (first..).zip(&self.ids) {
            let mut place = &mut self.bytes[at..at + ID_BYTES];
            workload::write_id(number, &mut place).expect("an id of ID_BYTES");
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn ids(request: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let events = match serde_json::from_str(body).unwrap() {
            Value::Array(events) => events,
            event => vec![event],
        };
        let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
        events.iter().map(id).collect()
    }

    #[test]
    fn every_request_has_ids_of_its_own_and_stays_json() {
        for count in [1, 10, 1000] {
            let mut one = Template::events("/publish", count, 200);
            let mut other = one.clone();
            let mut seen = HashSet::new();
            for template in [&mut one, &mut other] {
                for _ in 0..3 {
                    seen.extend(ids(template.next()));
                }
            }
            assert_eq!(seen.len() as u64, 6 * count);
        }
    }
}
