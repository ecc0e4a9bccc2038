//! Client certificates: which clients have shown one. The handshake has verified it by then. It also lets in clients
//! without one, because probes cannot have any; what these may call is decided here.

use actix_web::{HttpRequest, dev::Extensions};

use crate::{
    connection::stream::Stream,
    problem::{Kind, Problem},
};

/// Of a server: whether its clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCertificates {
    NotAsked,
    Required,
}

/// Of a connection: its client has shown one.
struct Shown;

/// Takes over from a new connection what its handshake found out.
pub(crate) fn note(connection: &Stream, data: &mut Extensions) {
    if connection.has_client_certificate() {
        data.insert(Shown);
    }
}

/// Refuses a client that should have shown one.
///
/// # Errors
/// 403 that says so.
pub(crate) fn check(request: &HttpRequest) -> Result<(), Problem> {
    let asked = request.app_data::<ClientCertificates>();
    if asked == Some(&ClientCertificates::NotAsked) || request.conn_data::<Shown>().is_some() {
        return Ok(());
    }
    let detail =
        "this server answers only clients with a certificate that it knows; connect with one";
    Err(Problem::new(Kind::CertificateRequired, detail))
}
