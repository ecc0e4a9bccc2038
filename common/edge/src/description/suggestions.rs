//! What an unknown path was probably meant to be.

use crate::{description::openapi::Call, problem::MAX_SHOWN_CHARS};

/// What another program serves. Each entry is a path and who has it; standalone serves all of them.
const ELSEWHERE: [(&str, &str); 7] = [
    ("/publish", PUBLISHER),
    ("/ingest", AGGREGATOR),
    ("/stats", AGGREGATOR),
    ("/topics", AGGREGATOR),
    ("/events", AGGREGATOR),
    ("/dead-letters", AGGREGATOR),
    ("/page", AGGREGATOR),
];
const PUBLISHER: &str = "a publisher (port 8080 unless BIND_ADDR says otherwise)";
const AGGREGATOR: &str = "an aggregator (port 8081 unless BIND_ADDR says otherwise)";
/// So many letters may be wrong, missing or too many in a path that is recognised all the same.
const MOST_TYPOS: usize = 2;

/// What to tell a client that asked for a path that is not served. Clients choose the path: it is not echoed at any
/// length, and no more of it is looked at.
pub(crate) fn detail(path: &str, served: &[Call]) -> String {
    let path: String = path.chars().take(MAX_SHOWN_CHARS).collect();
    let near = suggestion(&path, served).unwrap_or_else(|| "GET / lists what is".to_owned());
    format!("there is nothing at {path}; {near}")
}

fn suggestion(path: &str, served: &[Call]) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let here = |path: &str| served.iter().find(|call| call.path == path);
    if let ["events", rest @ ..] = parts.as_slice()
        && here("/events").is_some()
        && !rest.is_empty()
    {
        return Some(below_events(rest));
    }
    // What a client adds in front (`/api`, `/v1`) or behind (`/`).
    let cleaned = parts.join("/").to_ascii_lowercase();
    let meant = |known: &str| {
        let known = known.trim_matches('/');
        !known.is_empty()
            && (strsim::damerau_levenshtein(known, &cleaned) <= MOST_TYPOS.min(known.len() / 3)
                || cleaned.ends_with(&format!("/{known}")))
    };
    if let Some(call) = served.iter().find(|call| meant(&call.path)) {
        return Some(format!("use {} {}", call.method, call.path));
    }
    let first = parts.first().copied().unwrap_or_default();
    let (known, whose) = ELSEWHERE
        .iter()
        .find(|(known, _)| here(known).is_none() && (meant(known) || first == &known[1..]))?;
    Some(format!("{known} is served by {whose}"))
}

/// A topic alone, or a topic with slashes that are not encoded.
fn below_events(rest: &[&str]) -> String {
    match rest {
        [topic] => {
            let topic = topic.replace('+', "%2B").replace('&', "%26");
            format!(
                "use GET /events?topic={topic} for the events of a topic, or GET /events/{{topic}}/{{event_id}} for one event"
            )
        }
        [topic, id] => format!("use GET /events/{topic}/{id}"),
        [topic @ .., id] => format!(
            "a slash within a topic or an event_id is written %2F: GET /events/{}/{id}, or GET /events?topic={}",
            topic.join("%2F"),
            rest.join("%2F"),
        ),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(path: &str, served: &[(&str, &str)]) -> String {
        let call = |(method, path): &(&str, &str)| Call {
            method: (*method).to_owned(),
            path: (*path).to_owned(),
            summary: String::new(),
        };
        detail(path, &served.iter().map(call).collect::<Vec<_>>())
    }

    const PUBLISHER_SERVES: [(&str, &str); 3] =
        [("GET", "/"), ("GET", "/health"), ("POST", "/publish")];
    const AGGREGATOR_SERVES: [(&str, &str); 7] = [
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/events"),
        ("GET", "/events/{topic}/{event_id}"),
        ("GET", "/stats"),
        ("POST", "/ingest"),
        ("GET", "/dead-letters"),
    ];

    #[test]
    fn a_path_that_is_nearly_right_is_named() {
        for path in [
            "/publish/",
            "//publish",
            "/Publish",
            "/publsh",
            "/api/v1/publish",
        ] {
            let told = near(path, &PUBLISHER_SERVES);
            assert!(told.ends_with("; use POST /publish"), "{told}");
        }
        assert!(near("/event", &AGGREGATOR_SERVES).ends_with("use GET /events"));
        assert!(near("/stat", &AGGREGATOR_SERVES).ends_with("use GET /stats"));
        assert!(near("/healthz", &AGGREGATOR_SERVES).ends_with("use GET /health"));
    }

    #[test]
    fn a_topic_is_not_an_event() {
        let told = near("/events/orders", &AGGREGATOR_SERVES);
        assert!(
            told.contains("GET /events?topic=orders")
                && told.contains("/events/{topic}/{event_id}"),
            "{told}"
        );
        let told = near("/events/logs/web/1", &AGGREGATOR_SERVES);
        assert!(told.contains("GET /events/logs%2Fweb/1"), "{told}");
    }

    #[test]
    fn what_another_program_serves_is_said_to_be_there() {
        for path in [
            "/stats",
            "/events",
            "/events/orders/1",
            "/dead-letters/7",
            "/stats/",
        ] {
            let told = near(path, &PUBLISHER_SERVES);
            assert!(told.contains("is served by an aggregator"), "{told}");
        }
        let told = near("/publish", &AGGREGATOR_SERVES);
        assert!(told.contains("/publish is served by a publisher"), "{told}");
    }

    #[test]
    fn what_is_like_nothing_leads_to_the_index_and_is_not_echoed_at_any_length() {
        for path in ["/favicon.ico", "/x", "/wp-admin/setup.php"] {
            let told = near(path, &AGGREGATOR_SERVES);
            assert!(told.ends_with("; GET / lists what is"), "{told}");
        }
        let long = format!("/events/{}", "x".repeat(5000));
        assert!(near(&long, &AGGREGATOR_SERVES).len() < 500);
    }
}
