//! Which web pages of other origins may call
//! ([CORS](https://fetch.spec.whatwg.org/#http-cors-protocol)). Browsers ask before they let a page
//! send a key or JSON; other clients do not care.

use std::str::FromStr;

use actix_cors::Cors;
use actix_web::{http::Uri, middleware::Condition};

/// Most origins that may be named.
pub const MAX_ORIGINS: usize = 100;
/// What pages may send.
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "DELETE"];
/// What pages may send besides what any may. Of CloudEvents, the attributes of the specification.
const HEADERS: [&str; 12] = [
    "authorization",
    "x-api-key",
    "content-type",
    "content-encoding",
    "x-request-id",
    "ce-specversion",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-time",
    "ce-subject",
    "ce-dataschema",
];
/// What pages may read besides what any may.
const EXPOSED: [&str; 4] = [
    "x-request-id",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
];
/// How long a browser may keep the answer to its question, in seconds.
const MAX_AGE: usize = 3600;

/// The origins whose pages may call. They come without credentials of the browser, such as cookies:
/// a page must have a key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Those of all origins.
    Any,
    /// These; no page, if the list is empty.
    These(Vec<String>),
}

/// A text that names no origins.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginsError {
    /// One of them is not an origin.
    #[error(
        "{0:?} is not an origin: write scheme and host as a browser sends them, such as \
         https://app.example or http://localhost:3000, without a path or a final /, or * alone"
    )]
    NotAnOrigin(String),
    /// There are too many.
    #[error("{0} origins are named, at most {MAX_ORIGINS} are possible; * allows all")]
    TooMany(usize),
}

impl FromStr for Origins {
    type Err = OriginsError;

    /// Reads `*`, or origins with commas between them. An empty text names none.
    fn from_str(text: &str) -> Result<Self, OriginsError> {
        match text.trim() {
            "*" => return Ok(Self::Any),
            "" => return Ok(Self::These(Vec::new())),
            _ => {}
        }
        let origins: Vec<_> = text.split(',').map(str::trim).collect();
        if origins.len() > MAX_ORIGINS {
            return Err(OriginsError::TooMany(origins.len()));
        }
        let origin = |text: &str| {
            is_origin(text)
                .then(|| text.to_owned())
                .ok_or_else(|| OriginsError::NotAnOrigin(text.to_owned()))
        };
        let origins: Result<_, _> = origins.into_iter().map(origin).collect();
        Ok(Self::These(origins?))
    }
}

/// Whether a browser could send this as `Origin`
/// ([RFC 6454, section 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)).
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let (scheme, host) = (uri.scheme_str(), uri.host().unwrap_or_default());
    let port = match (scheme, uri.port_u16()) {
        // A browser leaves out the port if it is the usual one of the scheme.
        (Some("http"), Some(80)) | (Some("https"), Some(443)) => return false,
        (_, Some(port)) => format!(":{port}"),
        (_, None) => String::new(),
    };
    match scheme {
        Some(scheme @ ("http" | "https")) if !host.is_empty() && !host.contains('*') => {
            text == format!("{scheme}://{}{port}", host.to_ascii_lowercase())
        }
        _ => false,
    }
}

impl Origins {
    /// Whether pages of this origin may call.
    pub(crate) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }

    /// Answers what browsers ask, before a key is asked for.
    pub(crate) fn middleware(&self) -> Condition<Cors> {
        let cors = Cors::default()
            .allowed_methods(METHODS)
            .allowed_headers(HEADERS)
            .expose_headers(EXPOSED)
            .max_age(MAX_AGE);
        match self {
            Self::Any => Condition::new(true, cors.allow_any_origin().send_wildcard()),
            Self::These(origins) => {
                let allow = |cors: Cors, origin: &String| cors.allowed_origin(origin);
                Condition::new(!origins.is_empty(), origins.iter().fold(cors, allow))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(origins: &[&str]) -> Origins {
        Origins::These(origins.iter().map(|&origin| origin.to_owned()).collect())
    }

    #[test]
    fn origins_are_read_as_browsers_send_them() {
        for (text, origins) in [
            ("", these(&[])),
            (" ", these(&[])),
            ("*", Origins::Any),
            ("https://app.example", these(&["https://app.example"])),
            (
                "https://a.example, http://localhost:3000,http://[::1]:8080",
                these(&[
                    "https://a.example",
                    "http://localhost:3000",
                    "http://[::1]:8080",
                ]),
            ),
        ] {
            assert_eq!(text.parse(), Ok(origins), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused_by_name() {
        for bad in [
            "app.example",
            "https://app.example/",
            "https://app.example/path",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://user@app.example",
            "https://app.example?x",
            "https://app.example:",
            "https://",
            "ftp://app.example",
            "null",
            "*,https://app.example",
            "https://*.app.example",
            "https://a.example,,https://b.example",
        ] {
            let error = bad.parse::<Origins>().unwrap_err();
            assert!(matches!(error, OriginsError::NotAnOrigin(_)), "{bad}");
        }
        let many = vec!["https://a.example"; MAX_ORIGINS + 1].join(",");
        assert_eq!(
            many.parse::<Origins>(),
            Err(OriginsError::TooMany(MAX_ORIGINS + 1))
        );
    }
}
