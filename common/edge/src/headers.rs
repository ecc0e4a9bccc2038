//! What every answer carries: an id of its request, and headers that keep browsers from guessing.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
    middleware::Next,
};
use tracing::Instrument;
use uuid::Uuid;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ids are not taken over.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Answers are data for programs: nothing in them is to be run, framed or kept. An answer that is
/// something else says so itself.
const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Gives a request its id and its answer these headers. What is logged on the way to the answer names the id, too.
pub(crate) async fn add(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = taken_over(request.headers().get(X_REQUEST_ID)).unwrap_or_else(made);
    let span = tracing::info_span!("request", request.id = id.to_str().unwrap_or_default());
    let mut response = next.call(request).instrument(span).await?;
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id);
    for (name, value) in SECURITY {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// A client's own id, if it can be shown in a log as it is.
fn taken_over(sent: Option<&HeaderValue>) -> Option<HeaderValue> {
    let bytes = sent?.as_bytes();
    let fits = (1..=MAX_REQUEST_ID_BYTES).contains(&bytes.len());
    (fits && bytes.iter().all(u8::is_ascii_graphic)).then(|| sent.cloned())?
}

fn made() -> HeaderValue {
    let id = Uuid::now_v7().to_string();
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_a_log_can_show_are_taken_over() {
        let long = "x".repeat(129);
        for (sent, taken) in [
            ("abc-1", true),
            ("{\"}", true),
            ("", false),
            ("a b", false),
            ("a\tb", false),
            ("é", false),
            (&long, false),
        ] {
            let value = HeaderValue::from_bytes(sent.as_bytes()).unwrap();
            assert_eq!(taken_over(Some(&value)).is_some(), taken, "{sent}");
        }
        assert_eq!(taken_over(None), None);
        assert_ne!(made(), made());
    }
}
