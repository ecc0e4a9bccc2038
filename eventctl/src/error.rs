//! Why a command could not go on.

use std::{io, path::PathBuf};

use crate::client::Problem;

/// Why a command could not go on, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options that do not go together, or a value that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file that cannot be read or written, or is another than expected.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Print(#[from] io::Error),
    /// No answer, or only ever "later", until the patience was over.
    #[error(
        "{url} is away: {reason} (tried {attempts} times; is it running? --url and --read-url say where)"
    )]
    Away {
        /// Which address.
        url: String,
        /// What the last attempt met.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// It is not certain that it is the right server, or that server does not know this client.
    #[error("{url} is not spoken to: {reason}")]
    Distrust {
        /// Which address.
        url: String,
        /// What TLS found, and what to do.
        reason: String,
    },
    /// The server understood, and refused.
    #[error("the server refused: {0}")]
    Refused(Box<Problem>),
    /// An answer that is none of this API.
    #[error("{url} answered what cannot be read: {reason} (is it the right address?)")]
    Answer {
        /// Which address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// A file's error.
    pub fn file(path: impl Into<PathBuf>, reason: &impl ToString) -> Self {
        Self::File {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
