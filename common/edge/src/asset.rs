//! Files of a page that are part of the program.

use std::io::Write;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, EntityTag,
        HeaderValue, IF_NONE_MATCH, VARY,
    },
    web::Bytes,
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::admission::unsent::Uncopied;

/// What pages may do: run the scripts that are part of the program, show its styles and images, and call this server.
/// Nothing that a script puts into a page is read as HTML
/// ([trusted types](https://www.w3.org/TR/trusted-types/#require-trusted-types-for-csp-directive)).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";
/// A browser keeps a file, and asks each time whether it is still the same.
const ASKED_FOR: &str = "no-cache";
/// How much of a hash tells versions of a file apart, in bytes.
const TAG_BYTES: usize = 12;

/// A file that is part of the program, as it is sent.
pub struct Asset {
    content_type: &'static str,
    plain: Bytes,
    compressed: Bytes,
    tag: EntityTag,
}

impl Asset {
    /// This file. It is compressed here, once.
    #[must_use]
    pub fn new(name: &str, content: &'static [u8]) -> Self {
        let hash = Sha256::digest(content);
        Self {
            content_type: content_type(name),
            compressed: compressed(content).into(),
            plain: Bytes::from_static(content),
            tag: EntityTag::new_strong(hex::encode(&hash[..TAG_BYTES])),
        }
    }

    /// How many bytes are sent to a browser.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.compressed.len()
    }

    /// The answer to a request for this file.
    #[must_use]
    pub fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let takes_gzip = names(request, &ACCEPT_ENCODING, |coding| coding == "gzip");
        // Each form has a tag of its own, because a strong tag stands for the same bytes.
        let tag = if takes_gzip {
            EntityTag::new_strong(format!("{}-gzip", self.tag.tag()))
        } else {
            self.tag.clone()
        };
        let known = names(request, &IF_NONE_MATCH, |known| {
            let known = known.strip_prefix("W/").unwrap_or(known);
            known == "*" || known.trim_matches('"') == tag.tag()
        });
        let mut answer = if known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        answer
            .insert_header((ETAG, tag.to_string()))
            .insert_header((VARY, "Accept, Accept-Encoding"))
            .insert_header((CACHE_CONTROL, ASKED_FOR))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY));
        if known {
            return answer.finish();
        }
        answer.content_type(self.content_type);
        let body = if takes_gzip {
            answer.insert_header((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
            &self.compressed
        } else {
            &self.plain
        };
        let mut answer = answer.body(body.clone());
        answer.extensions_mut().insert(Uncopied);
        answer
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Writing into memory has no way to fail.
fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("memory takes all bytes");
    encoder.finish().expect("memory takes all bytes")
}

/// Whether a header that is a list names something like this. What is refused with `q=0` is not looked for: no browser
/// refuses gzip.
fn names(
    request: &HttpRequest,
    header: &actix_web::http::header::HeaderName,
    is: impl Fn(&str) -> bool,
) -> bool {
    let values = request.headers().get_all(header);
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|part| is(part.split(';').next().unwrap_or_default().trim()))
}

#[cfg(test)]
mod tests {
    use actix_web::{body::to_bytes, http::StatusCode, test::TestRequest};

    use super::*;

    const TEXT: &[u8] = b"a script a script a script a script a script a script";

    #[actix_web::test]
    async fn a_browser_gets_it_compressed_once_and_then_learns_that_it_is_the_same() {
        let asset = Asset::new("a.js", TEXT);
        let request = TestRequest::default().insert_header((ACCEPT_ENCODING, "br, gzip;q=0.5"));
        let answer = asset.answer(&request.to_http_request());
        let header = |name: &str| answer.headers().get(name).unwrap().clone();
        assert_eq!(header("content-encoding"), "gzip");
        assert_eq!(header("content-type"), "text/javascript; charset=utf-8");
        let tag = header("etag");
        let body = to_bytes(answer.into_body()).await.unwrap();
        assert_eq!((body.len(), body.len() < TEXT.len()), (asset.bytes(), true));

        let again = TestRequest::default()
            .insert_header((ACCEPT_ENCODING, "gzip"))
            .insert_header((IF_NONE_MATCH, tag));
        let answer = asset.answer(&again.to_http_request());
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
        assert!(to_bytes(answer.into_body()).await.unwrap().is_empty());
    }

    #[actix_web::test]
    async fn without_compression_it_is_sent_as_it_is() {
        let asset = Asset::new("a.html", TEXT);
        let answer = asset.answer(&TestRequest::default().to_http_request());
        assert!(!answer.headers().contains_key(CONTENT_ENCODING));
        assert!(answer.headers().contains_key(CONTENT_SECURITY_POLICY));
        assert_eq!(to_bytes(answer.into_body()).await.unwrap(), TEXT);
    }
}
