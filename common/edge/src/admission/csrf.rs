//! Web pages, where no key is asked for. Without these checks, a browser that can reach the server would let any page call
//! it. Clients that are not browsers do not send the headers that are checked here.

use actix_web::{
    dev::ServiceRequest,
    http::{
        Method, Uri,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
};

use crate::{
    admission::cors::Origins,
    auth::Gate,
    problem::{Kind, Problem},
};

/// What a browser says of where a request comes from
/// ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header)).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// A page of another origin may not change anything. It may ask, but its browser does not show it the answer.
///
/// # Errors
/// 403 that says what would be possible.
pub(crate) fn check_origin(request: &ServiceRequest) -> Result<(), Problem> {
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    if asks || own_page(request) || named_page(request) {
        return Ok(());
    }
    let detail = "a web page of another origin may not do this without an API key; list its origin in \
                  CORS_ALLOW_ORIGIN if you trust it, or set API_KEYS_FILE";
    Err(Problem::new(Kind::Forbidden, detail))
}

/// The operator has allowed these pages to call (`CORS_ALLOW_ORIGIN`).
fn named_page(request: &ServiceRequest) -> bool {
    let origin = request
        .headers()
        .get(ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    let origins = request.app_data::<Origins>();
    origin.is_some_and(|origin| origins.is_some_and(|origins| origins.allow(origin)))
}

fn own_page(request: &ServiceRequest) -> bool {
    if let Some(site) = request.headers().get(SEC_FETCH_SITE) {
        // `none`: a person typed the address.
        return site == "same-origin" || site == "none";
    }
    // Browsers do not send it to a server that they consider insecure, and older browsers never send it.
    let Some(origin) = request.headers().get(ORIGIN) else {
        return true;
    };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let origin = origin.as_ref().and_then(Uri::authority);
    origin.is_some_and(|origin| host(request).is_some_and(|host| *origin == host))
}

/// A server for this machine only is not called by a name of the public DNS, because the owner of the name can make it mean this
/// machine, and then a browser takes the owner's pages for pages of this server.
///
/// # Errors
/// 403 that says what would be possible.
pub(crate) fn check_host(request: &ServiceRequest, gate: &Gate) -> Result<(), Problem> {
    if host(request).is_none_or(|host| gate.allows_host(host)) {
        return Ok(());
    }
    let detail = "without API keys this server is for its own machine: call it as localhost, or list the name in \
                  ALLOWED_HOSTS, or set API_KEYS_FILE, or AUTH_DISABLED=true if something else keeps strangers out";
    Err(Problem::new(Kind::Forbidden, detail))
}

/// Host and port that the client called; HTTP/1.0 has none, and HTTP/2 has it in the target.
fn host(request: &ServiceRequest) -> Option<&str> {
    match request.headers().get(HOST) {
        // A value that is not text is not a name of this machine.
        Some(host) => Some(host.to_str().unwrap_or(".")),
        None => request.uri().authority().map(Authority::as_str),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn request(method: Method, headers: &[(&'static str, &'static str)]) -> ServiceRequest {
        let request = TestRequest::default().method(method);
        let add = |request: TestRequest, header: &(&'static str, &'static str)| {
            request.append_header(*header)
        };
        headers.iter().fold(request, add).to_srv_request()
    }

    #[test]
    fn pages_of_another_origin_change_nothing() {
        let site = "sec-fetch-site";
        let host = ("host", "localhost:8080");
        for (headers, own) in [
            // The client is not a browser.
            (&[host][..], true),
            (&[host, (site, "same-origin")], true),
            (&[host, (site, "none")], true),
            (
                &[
                    host,
                    (site, "same-origin"),
                    ("origin", "http://proxied.example"),
                ],
                true,
            ),
            (&[host, (site, "same-site")], false),
            (&[host, (site, "cross-site")], false),
            (
                &[
                    host,
                    (site, "cross-site"),
                    ("origin", "http://localhost:8080"),
                ],
                false,
            ),
            (&[host, ("origin", "http://localhost:8080")], true),
            (&[host, ("origin", "https://LOCALHOST:8080")], true),
            (&[host, ("origin", "http://localhost")], false),
            (&[host, ("origin", "http://localhost:8081")], false),
            (&[host, ("origin", "https://evil.example")], false),
            (&[host, ("origin", "null")], false),
            (&[host, ("origin", "é")], false),
            (&[("origin", "https://evil.example")], false),
        ] {
            for (method, allowed) in [
                (Method::GET, true),
                (Method::HEAD, true),
                (Method::POST, own),
                (Method::DELETE, own),
            ] {
                let checked = check_origin(&request(method.clone(), headers));
                assert_eq!(checked.is_ok(), allowed, "{method} {headers:?}");
            }
        }
    }

    #[test]
    fn only_a_server_for_this_machine_minds_how_it_is_called() {
        let local = Gate::local("events.internal".parse().unwrap());
        for (host, allowed) in [
            ("localhost:8080", true),
            ("events.internal:8080", true),
            ("evil.example", false),
            ("é", false),
        ] {
            let request = request(Method::GET, &[("host", host)]);
            assert_eq!(check_host(&request, &local).is_ok(), allowed, "{host}");
            assert!(check_host(&request, &Gate::open()).is_ok(), "{host}");
        }
        let http_1_0 = request(Method::GET, &[]);
        assert!(check_host(&http_1_0, &local).is_ok());
    }

    #[test]
    fn a_page_that_is_refused_is_told_what_would_let_it_in() {
        let refused = request(
            Method::POST,
            &[("host", "localhost"), ("origin", "https://app.example")],
        );
        let problem = format!("{:?}", check_origin(&refused).unwrap_err());
        assert!(problem.contains("CORS_ALLOW_ORIGIN"), "{problem}");
    }
}
