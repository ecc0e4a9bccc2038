//! Client certificates: who has shown one. The handshake has verified it then; it lets in clients without
//! one too, for probes cannot have any, so what else they may call is decided here.

use actix_web::{HttpRequest, dev::Extensions};

use super::{
    problem::{Kind, Problem},
    stream::Stream,
};

/// Of a server: whether its clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientCertificates {
    NotAsked,
    Required,
}

/// Of a connection: its client has shown one.
struct Shown;

/// Takes over from a new connection what its handshake found out.
pub(super) fn note(connection: &Stream, data: &mut Extensions) {
    if connection.has_client_certificate() {
        data.insert(Shown);
    }
}

/// Refuses a client that should have shown one.
///
/// # Errors
/// 403 that says so.
pub(super) fn check(request: &HttpRequest) -> Result<(), Problem> {
    let asked = request.app_data::<ClientCertificates>();
    if asked == Some(&ClientCertificates::NotAsked) || request.conn_data::<Shown>().is_some() {
        return Ok(());
    }
    let detail =
        "this server answers only clients with a certificate that it knows; connect with one";
    Err(Problem::new(Kind::CertificateRequired, detail))
}
