//! What a request says its body is.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
};
use event::{cloudevents::is_binary, media_type::essence};

use crate::problem::Problem;

/// The media types of events, as the header `Accept` names them to a client that has sent another one.
const EVENT_TYPES: &str = "application/json, application/x-ndjson, application/cloudevents+json, \
                           application/cloudevents-batch+json";
/// The media type of everything else.
const JSON: &str = "application/json";
/// The encodings, as `Accept-Encoding` says them
/// ([RFC 7694](https://www.rfc-editor.org/rfc/rfc7694)).
const ENCODINGS: &str = "gzip, zstd, identity";

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One event, an array of events, or `{"events": […]}`.
    Json,
    /// An event a line.
    Ndjson,
    /// One CloudEvent, all of it in the body.
    CloudEvent,
    /// An array of CloudEvents.
    CloudEvents,
    /// One CloudEvent, its attributes in headers, its data in the body.
    BinaryCloudEvent,
}

impl Format {
    /// The format that `Content-Type` names, or headers of a CloudEvent.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let media_type = text(request, &header::CONTENT_TYPE);
        let essence = media_type.map(|text| essence(text).to_ascii_lowercase());
        match essence.as_deref() {
            Some("application/cloudevents+json") => return Ok(Self::CloudEvent),
            Some("application/cloudevents-batch+json") => return Ok(Self::CloudEvents),
            Some(other) if other.starts_with("application/cloudevents") => {}
            _ if is_binary(request.headers().keys().map(HeaderName::as_str)) => {
                return Ok(Self::BinaryCloudEvent);
            }
            // A client that names no media type means the simplest.
            None | Some(JSON) => return Ok(Self::Json),
            Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => {
                return Ok(Self::Ndjson);
            }
            Some(_) => {}
        }
        Err(Problem::unsupported(
            "Content-Type",
            media_type,
            header::ACCEPT,
            EVENT_TYPES,
        ))
    }
}

/// Whether a body is JSON: its media type is JSON, or it has none.
pub(super) fn require_json(request: &HttpRequest) -> Result<(), Problem> {
    match text(request, &header::CONTENT_TYPE) {
        Some(other) if !essence(other).eq_ignore_ascii_case(JSON) => {
            let name = "Content-Type";
            Err(Problem::unsupported(
                name,
                Some(other),
                header::ACCEPT,
                JSON,
            ))
        }
        _ => Ok(()),
    }
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Not at all.
    Identity,
    /// [RFC 1952](https://www.rfc-editor.org/rfc/rfc1952), any number of members.
    Gzip,
    /// [RFC 8878](https://www.rfc-editor.org/rfc/rfc8878), any number of frames.
    Zstd,
}

impl Encoding {
    /// The encoding that `Content-Encoding` names. Several on top of each other are not read.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let found = text(request, &header::CONTENT_ENCODING);
        let unsupported = || {
            let name = "Content-Encoding";
            Problem::unsupported(name, found, header::ACCEPT_ENCODING, ENCODINGS)
        };
        if request.headers().get_all(header::CONTENT_ENCODING).count() > 1 {
            return Err(unsupported());
        }
        let name = found.map(str::to_ascii_lowercase);
        match name.as_deref().map(str::trim) {
            None | Some("identity") => Ok(Self::Identity),
            // x-gzip: RFC 9110, section 8.4.1.3.
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some("zstd") => Ok(Self::Zstd),
            Some(_) => Err(unsupported()),
        }
    }
}

/// A header that is not text counts as an unknown value.
pub(super) fn text<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    let value = request.headers().get(name)?;
    Some(value.to_str().unwrap_or("(not text)"))
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, test::TestRequest};

    use super::*;

    fn format(headers: &[(&'static str, &str)]) -> Result<Format, Problem> {
        Format::of(&request(headers))
    }

    fn encoding(values: &[&str]) -> Result<Encoding, Problem> {
        let headers: Vec<_> = values
            .iter()
            .map(|value| ("content-encoding", *value))
            .collect();
        Encoding::of(&request(&headers))
    }

    fn request(headers: &[(&'static str, &str)]) -> HttpRequest {
        let add =
            |request: TestRequest, header: &(&'static str, &str)| request.append_header(*header);
        headers
            .iter()
            .fold(TestRequest::post(), add)
            .to_http_request()
    }

    #[test]
    fn the_media_type_names_the_format_in_any_case_and_with_parameters() {
        for (media_type, expected) in [
            ("application/json", Format::Json),
            ("Application/JSON ; charset=utf-8", Format::Json),
            ("application/x-ndjson", Format::Ndjson),
            ("application/ndjson", Format::Ndjson),
            ("application/jsonl", Format::Ndjson),
            (
                "Application/CloudEvents+JSON; charset=UTF-8",
                Format::CloudEvent,
            ),
            ("application/cloudevents-batch+json", Format::CloudEvents),
        ] {
            assert_eq!(format(&[("content-type", media_type)]).unwrap(), expected);
        }
        assert_eq!(format(&[]).unwrap(), Format::Json);
    }

    #[test]
    fn a_header_of_a_cloudevent_makes_its_body_data_unless_the_body_says_it_is_one() {
        let event = ("ce-id", "1");
        for (media_type, expected) in [
            ("application/json", Format::BinaryCloudEvent),
            ("text/plain", Format::BinaryCloudEvent),
            ("application/cloudevents+json", Format::CloudEvent),
            ("application/cloudevents-batch+json", Format::CloudEvents),
        ] {
            let found = format(&[("content-type", media_type), event]);
            assert_eq!(found.unwrap(), expected, "{media_type}");
        }
        assert_eq!(format(&[event]).unwrap(), Format::BinaryCloudEvent);
        assert_eq!(format(&[("ce-extension", "1")]).unwrap(), Format::Json);
    }

    #[test]
    fn another_media_type_is_told_which_are_read() {
        for media_type in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/vnd.api+json",
            "application/cloudevents",
            "application/cloudevents+avro",
            "application/cloudevents-batch+avro",
        ] {
            let problem = format(&[("content-type", media_type)]).unwrap_err();
            let response = problem.error_response();
            assert_eq!(response.status(), 415, "{media_type}");
            assert_eq!(response.headers().get("accept").unwrap(), EVENT_TYPES);
            let told = format!(
                "Content-Type is {media_type:?}, which is not read here; send one of: {EVENT_TYPES}"
            );
            assert!(problem.to_string().ends_with(&told), "{problem}");
        }
    }

    #[test]
    fn one_encoding_is_read_and_others_are_told_which() {
        assert_eq!(encoding(&[]).unwrap(), Encoding::Identity);
        assert_eq!(encoding(&["identity"]).unwrap(), Encoding::Identity);
        assert_eq!(encoding(&["GZip"]).unwrap(), Encoding::Gzip);
        assert_eq!(encoding(&["x-gzip"]).unwrap(), Encoding::Gzip);
        assert_eq!(encoding(&["zstd"]).unwrap(), Encoding::Zstd);
        for values in [
            &["br"][..],
            &["gzip, gzip"],
            &["gzip", "zstd"],
            &["identity", "gzip"],
            &[""],
        ] {
            let response = encoding(values).unwrap_err().error_response();
            assert_eq!(response.status(), 415, "{values:?}");
            assert_eq!(
                response.headers().get("accept-encoding").unwrap(),
                ENCODINGS
            );
        }
    }
}
