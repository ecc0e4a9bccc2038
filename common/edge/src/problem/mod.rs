//! Error answers: problem details for HTTP APIs ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

mod kind;

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
};
use event::parse::quoted;
use queue::PushError;
use serde::Serialize;
use store::StoreError;
use utoipa::ToSchema;

pub use event::parse::MAX_REPORTED_ERRORS;
pub use kind::Kind;

/// Most characters of a client's path or method that an answer repeats.
pub(crate) const MAX_SHOWN_CHARS: usize = 100;
/// What `Retry-After` says where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error answer.
#[derive(Debug, Serialize)]
pub struct Problem(Box<Members>);

#[derive(Debug, Serialize)]
struct Members {
    #[serde(rename = "type")]
    kind: Kind,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<BatchItem>,
    #[serde(skip)]
    header: Option<(header::HeaderName, HeaderValue)>,
}

/// What is wrong with one event of a batch.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchItem {
    /// The event's place in the batch, from 0.
    pub index: usize,
    /// Where in the body: a JSON Pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)).
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl Problem {
    /// What its type is called.
    pub(crate) const fn slug(&self) -> &'static str {
        self.0.kind.facts().0
    }

    /// What the problem is called that answers this error.
    pub(crate) const fn slug_of(error: &PushError) -> &'static str {
        kind_of(error).facts().0
    }

    /// A problem; `detail` says what would be right.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (_, title, status) = kind.facts();
        let header = (status == StatusCode::SERVICE_UNAVAILABLE).then(|| {
            let seconds = HeaderValue::from(RETRY_AFTER.as_secs());
            (header::RETRY_AFTER, seconds)
        });
        Self(Box::new(Members {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            header,
        }))
    }

    /// Adds what is wrong with single events, up to [`MAX_REPORTED_ERRORS`].
    #[must_use]
    pub fn with_errors(mut self, mut errors: Vec<BatchItem>) -> Self {
        errors.truncate(MAX_REPORTED_ERRORS);
        self.0.errors = errors;
        self
    }

    /// 415: `header` has not `found` but must have a value that is read, all of which `accept` names
    /// ([RFC 9110, section 15.5.16](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.16)).
    pub(crate) fn unsupported(
        header: &str,
        found: Option<&str>,
        accept: header::HeaderName,
        read: &'static str,
    ) -> Self {
        let found = quoted(found.unwrap_or_default());
        let detail = format!("{header} is {found}, which is not read here; send one of: {read}");
        let mut problem = Self::new(Kind::UnsupportedMediaType, detail);
        problem.0.header = Some((accept, HeaderValue::from_static(read)));
        problem
    }

    /// 401 with how to send a key ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "send a valid API key: Authorization: Bearer KEY, or X-API-Key: KEY";
        let mut problem = Self::new(Kind::Unauthorized, detail);
        let how = HeaderValue::from_static("Bearer");
        problem.0.header = Some((header::WWW_AUTHENTICATE, how));
        problem
    }

    /// 429, to be tried again after so many seconds.
    pub(crate) fn rate_limited(detail: String, retry_after: u64) -> Self {
        let mut problem = Self::new(Kind::RateLimited, detail);
        problem.0.header = Some((header::RETRY_AFTER, HeaderValue::from(retry_after)));
        problem
    }

    /// 405 with the methods that there are.
    #[must_use]
    pub fn method_not_allowed(method: &Method, allowed: &str) -> Self {
        // Clients choose the method: it is not echoed at any length.
        let method: String = method.as_str().chars().take(MAX_SHOWN_CHARS).collect();
        let detail = format!("{method} is not possible here; use {allowed}");
        let mut problem = Self::new(Kind::MethodNotAllowed, detail);
        let allowed = HeaderValue::from_str(allowed);
        problem.0.header = allowed.ok().map(|allowed| (header::ALLOW, allowed));
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.title, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.kind.facts().2
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(header) = &self.0.header {
            response.insert_header(header.clone());
        }
        // `json` keeps a content type that is set already.
        response.content_type("application/problem+json").json(self)
    }
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        if let PushError::Unconfirmed(cause) = &error {
            // The queue has told its dependency, which logs it.
            tracing::debug!(error = %cause, "a batch was not confirmed by the queue");
        }
        Self::new(kind_of(&error), error.to_string())
    }
}

const fn kind_of(error: &PushError) -> Kind {
    match error {
        PushError::Full { .. } | PushError::NoMemory(_) => Kind::QueueFull,
        PushError::Closed => Kind::ShuttingDown,
        PushError::Unconfirmed(_) | PushError::Unfit(_) => Kind::Unavailable,
    }
}

impl From<StoreError> for Problem {
    /// What the driver says may hold data or addresses: it goes to the log, not to the client.
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Unavailable(_)) {
            // The probe of the store meets it, too, and its dependency logs it.
            tracing::debug!(%error, "a read failed");
        } else {
            tracing::warn!(%error, "a read failed");
        }
        Self::new(
            Kind::Unavailable,
            "the database does not answer as it should; try again",
        )
    }
}
