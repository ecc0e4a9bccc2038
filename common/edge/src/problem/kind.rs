//! The kinds of problems.

use actix_web::http::StatusCode;
use serde::{Serialize, Serializer};

/// What kind of problem it is. Each has one `type`, title and status, which never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body is not JSON.
    MalformedBody,
    /// The body is JSON, but not of the shape of a batch.
    InvalidBatch,
    /// An event breaks a rule.
    InvalidEvent,
    /// A query parameter or a part of the path breaks a rule.
    InvalidParameter,
    /// No key came with the request, or none that is known.
    Unauthorized,
    /// The client has shown no certificate.
    CertificateRequired,
    /// The key is known, and does not allow this.
    Forbidden,
    /// No such path, or no such event.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body took too long to arrive.
    RequestTimeout,
    /// Body, batch or event over its limit.
    TooLarge,
    /// The server does not read this media type or encoding.
    UnsupportedMediaType,
    /// The key has used up its rate.
    RateLimited,
    /// As many events wait as may.
    QueueFull,
    /// As many requests are being answered, or take as much memory, as may.
    Overloaded,
    /// Redis or the database is away, or did not confirm.
    Unavailable,
    /// The process is going down.
    ShuttingDown,
    /// A defect of this program.
    Internal,
}

impl Kind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::MalformedBody,
        Self::InvalidBatch,
        Self::InvalidEvent,
        Self::InvalidParameter,
        Self::Unauthorized,
        Self::CertificateRequired,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::RateLimited,
        Self::QueueFull,
        Self::Overloaded,
        Self::Unavailable,
        Self::ShuttingDown,
        Self::Internal,
    ];

    pub(crate) const fn facts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::MalformedBody => ("malformed-body", "Malformed body", StatusCode::BAD_REQUEST),
            Self::InvalidBatch => ("invalid-batch", "Invalid batch", StatusCode::BAD_REQUEST),
            Self::InvalidEvent => ("invalid-event", "Invalid event", StatusCode::BAD_REQUEST),
            Self::InvalidParameter => (
                "invalid-parameter",
                "Invalid parameter",
                StatusCode::BAD_REQUEST,
            ),
            Self::Unauthorized => ("unauthorized", "Unauthorized", StatusCode::UNAUTHORIZED),
            Self::CertificateRequired => (
                "certificate-required",
                "Client certificate required",
                StatusCode::FORBIDDEN,
            ),
            Self::Forbidden => ("forbidden", "Forbidden", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", "Not found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => (
                "method-not-allowed",
                "Method not allowed",
                StatusCode::METHOD_NOT_ALLOWED,
            ),
            Self::RequestTimeout => (
                "request-timeout",
                "Request timeout",
                StatusCode::REQUEST_TIMEOUT,
            ),
            Self::TooLarge => ("too-large", "Too large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                "Unsupported media type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::RateLimited => (
                "rate-limited",
                "Rate limited",
                StatusCode::TOO_MANY_REQUESTS,
            ),
            Self::Overloaded => ("overloaded", "Overloaded", StatusCode::SERVICE_UNAVAILABLE),
            Self::QueueFull => ("queue-full", "Queue full", StatusCode::SERVICE_UNAVAILABLE),
            Self::Unavailable => (
                "unavailable",
                "Temporarily unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::ShuttingDown => (
                "shutting-down",
                "Shutting down",
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            Self::Internal => (
                "internal",
                "Internal error",
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
        }
    }

    /// A stable URN that clients may compare.
    #[must_use]
    pub fn type_uri(self) -> String {
        format!("urn:event-aggregator:problem:{}", self.facts().0)
    }

    /// Its title, which never changes.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.facts().1
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.facts().2
    }

    /// When it comes, and what to do then, for `docs/ERRORS.md`.
    #[must_use]
    pub const fn explained(self) -> (&'static str, &'static str) {
        match self {
            Self::MalformedBody => (
                "The body cannot be read as JSON, or as the format that its `Content-Type` names.",
                "Correct the body. `detail` names the place.",
            ),
            Self::InvalidBatch => (
                "The body is JSON, but it is neither an event nor a list of events.",
                "Send one event, or `{\"events\": […]}`, or a list of events.",
            ),
            Self::InvalidEvent => (
                "At least one event breaks a rule. Nothing of the batch is accepted, except with `?partial=true`.",
                "Correct the events that `errors` names, or send only the others.",
            ),
            Self::InvalidParameter => (
                "A query parameter or a part of the path is not valid, or not known.",
                "Correct the parameter that `detail` names.",
            ),
            Self::Unauthorized => (
                "The request has no API key, or one that the server does not know.",
                "Send `Authorization: Bearer KEY`, or `X-API-Key: KEY`. The operator makes keys with the command `keys new`.",
            ),
            Self::CertificateRequired => (
                "The server asks for client certificates (`TLS_CLIENT_CA`), and the client has shown none.",
                "Connect with a certificate that one of those authorities has signed.",
            ),
            Self::Forbidden => (
                "The key does not have the scope, or is not for the topic. Without keys: the request comes from a web page of another origin, or by a name that is not this server’s.",
                "Use a key that allows it. `detail` says what is missing.",
            ),
            Self::NotFound => (
                "There is no such path, or no such event.",
                "Compare the path with the list that `GET /` gives.",
            ),
            Self::MethodNotAllowed => (
                "The path exists, but not with this method.",
                "Use a method that the header `Allow` names.",
            ),
            Self::RequestTimeout => (
                "The body took too long to arrive.",
                "Send it again, faster or in smaller batches.",
            ),
            Self::TooLarge => (
                "The body, the batch or one event is over its limit.",
                "Send smaller batches. `detail` names the limit, which is a setting of the server.",
            ),
            Self::UnsupportedMediaType => (
                "The server does not read this `Content-Type` or `Content-Encoding`.",
                "Use one that `detail` names.",
            ),
            Self::RateLimited => (
                "The key has used up its rate of requests or events.",
                "Wait as long as `Retry-After` says.",
            ),
            Self::QueueFull => (
                "As many events wait as `QUEUE_MAX_LEN` or the memory of Redis allows. Nothing was accepted.",
                "Send the same batch again later. The operator adds workers, or finds out why they do not keep up.",
            ),
            Self::Overloaded => (
                "As many requests are being answered, or as many bytes are held for them, as `MAX_REQUESTS_IN_FLIGHT` and `MAX_BYTES_IN_FLIGHT` allow.",
                "Send the request again after `Retry-After`.",
            ),
            Self::Unavailable => (
                "Redis or the database is away, or has not confirmed. A batch may have been accepted nevertheless.",
                "Send the same batch again: what was accepted already counts as a duplicate.",
            ),
            Self::ShuttingDown => (
                "The process is about to stop.",
                "Send the request again; another process, or the next one, answers it.",
            ),
            Self::Internal => (
                "This program has a defect.",
                "Report it with the `X-Request-Id` of the answer.",
            ),
        }
    }
}

// A kind that is missing in `ALL` does not compile.
const _: () = assert!(Kind::ALL.len() == Kind::Internal as usize + 1);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.type_uri())
    }
}
