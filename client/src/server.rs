//! The address of a server.

use reqwest::Url;

use crate::error::Error;

/// The address of a server that speaks HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Server(Url);

impl Server {
    /// # Errors
    /// [`Error::InvalidAddress`] if the address is not one of HTTP.
    pub(crate) fn new(mut url: Url) -> Result<Self, Error> {
        if matches!(url.scheme(), "http" | "https") {
            return Ok(Self(url));
        }
        // An address that has no password cannot lose it.
        let _ = url.set_password(None);
        Err(Error::InvalidAddress(url.into()))
    }

    /// Scheme, host and port, without what may be secret.
    pub(crate) fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address of a call; each part of its path is percent-encoded.
    pub(crate) fn endpoint(&self, path: &[&str]) -> Url {
        let mut url = self.0.clone();
        // An address of HTTP always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<Server, Error> {
        Server::new(url.parse().unwrap())
    }

    #[test]
    fn a_path_is_added_to_the_address_and_encoded() {
        let endpoint = |url| server(url).unwrap().endpoint(&["events", "a/b"]);
        assert_eq!(endpoint("http://a").as_str(), "http://a/events/a%2Fb");
        assert_eq!(endpoint("http://a/x/").as_str(), "http://a/x/events/a%2Fb");
    }

    #[test]
    fn an_address_that_is_not_one_of_http_is_refused() {
        let error = server("ftp://a").unwrap_err().to_string();
        assert!(error.contains("must begin with http://"), "{error}");
    }

    #[test]
    fn the_origin_has_no_password() {
        let server = server("https://user:secret@a:8/path").unwrap();
        assert_eq!(server.origin(), "https://a:8");
    }
}
