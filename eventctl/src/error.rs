//! Why a command could not continue.

use std::{io, path::PathBuf};

use event_aggregator_client::{self as client, DistrustKind};

/// Why a command could not continue, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not belong together.
    #[error("{0}")]
    Usage(String),
    /// A file that cannot be read or written, or that is not what it should be.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Print(#[from] io::Error),
    /// A call to a server did not succeed.
    #[error("{0}{advice}", advice = advice(.0))]
    Call(#[from] client::Error),
}

impl Error {
    /// The error of a file.
    pub fn file(path: impl Into<PathBuf>, reason: &impl ToString) -> Self {
        Self::File {
            path: path.into(),
            reason: reason.to_string(),
        }
    }

    /// Whether a server is away, and may come back.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Call(client::Error::Away { .. }))
    }

    /// Whether a signal ended the command.
    #[must_use]
    pub const fn is_interruption(&self) -> bool {
        matches!(self, Self::Call(client::Error::Interrupted))
    }
}

/// Which option helps.
fn advice(error: &client::Error) -> &'static str {
    match error {
        client::Error::Away { .. } => {
            "; check that it runs, and that --url and --read-url are right"
        }
        client::Error::UnreadableAnswer { .. } => "; check that --url and --read-url are right",
        client::Error::Distrust { distrust, .. } => match distrust.kind {
            DistrustKind::UnknownAuthority => " (--ca-cert names a file with it)",
            DistrustKind::RefusedByServer => " (--cert and --cert-key present another one)",
            DistrustKind::OtherName
            | DistrustKind::InvalidServerCertificate
            | DistrustKind::NotTls => "",
        },
        client::Error::Refused(problem) => match (problem.status, problem.name()) {
            (403, Some("certificate-required")) => " (--cert and --cert-key present one)",
            (401 | 403, _) => " (--key or EVENTCTL_KEY sends a key)",
            (404, _) if problem.detail.contains("is served by an aggregator") => {
                " (this is a publisher: set --read-url to the address of an aggregator)"
            }
            (404, _) if problem.detail.contains("is served by a publisher") => {
                " (this is an aggregator: set --url to the address of a publisher)"
            }
            _ => "",
        },
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use client::{Distrust, Problem};

    use super::*;

    fn refused(status: u16, kind: &str) -> client::Error {
        client::Error::Refused(Box::new(Problem {
            status,
            kind: format!("urn:event-aggregator:problem:{kind}"),
            detail: "this is what is wrong".to_owned(),
            errors: Vec::new(),
        }))
    }

    fn distrust(kind: DistrustKind) -> client::Error {
        client::Error::Distrust {
            url: "https://a".to_owned(),
            distrust: Distrust {
                kind,
                finding: "this is what TLS says".to_owned(),
            },
        }
    }

    #[test]
    fn errors_name_the_option_that_helps() {
        let url = || "http://a:1".to_owned();
        let reason = || "this is what happened".to_owned();
        let errors = [
            client::Error::Away {
                url: url(),
                reason: reason(),
                attempts: 7,
            },
            client::Error::UnreadableAnswer {
                url: url(),
                reason: reason(),
            },
            distrust(DistrustKind::UnknownAuthority),
            distrust(DistrustKind::OtherName),
            distrust(DistrustKind::InvalidServerCertificate),
            distrust(DistrustKind::RefusedByServer),
            distrust(DistrustKind::NotTls),
            refused(400, "invalid-event"),
            refused(401, "unauthorized"),
            refused(403, "forbidden"),
            refused(403, "certificate-required"),
            client::Error::InvalidKey,
            client::Error::Interrupted,
        ];
        let errors = errors.map(|error| Error::from(error).to_string());
        insta::assert_snapshot!(errors.join("\n"));
    }
}
