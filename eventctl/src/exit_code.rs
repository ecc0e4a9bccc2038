//! Exit codes: what a script may rely on.

use std::{io, process::ExitCode};

use event_aggregator_client as client;

use crate::error::Error;

/// What `--help` says about exit codes.
pub const HELP: &str = "\
Exit codes:
    0  the command is done, and all is well
    1  the command is done, and not all is well: events were refused, counters differ, or an id does not exist
    2  an option or a file cannot be used
    3  the server is away, was busy for too long, or has a certificate that is not trusted
    4  the server refused the request
  130  the command was interrupted";

/// How a command that came to its end has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Well,
    /// The command did its work, and not all that it found is well.
    Unwell,
    /// A signal ended the command before its work was done.
    Interrupted,
}

impl Outcome {
    /// [`Outcome::Well`] if all is well, else [`Outcome::Unwell`].
    #[must_use]
    pub const fn well_if(well: bool) -> Self {
        if well { Self::Well } else { Self::Unwell }
    }

    /// The exit code of this outcome.
    #[must_use]
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Well => 0,
            Self::Unwell => 1,
            Self::Interrupted => 130,
        })
    }
}

/// The exit code of a command that could not continue.
#[must_use]
pub fn code_of(error: &Error) -> ExitCode {
    ExitCode::from(match error {
        // The reader has read enough, as in `eventctl events | head`.
        Error::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Error::Usage(_) | Error::File { .. } | Error::Print(_) => 2,
        Error::Call(error) => match error {
            client::Error::InvalidAddress(_)
            | client::Error::InvalidKey
            | client::Error::Certificate(_)
            | client::Error::Request(_) => 2,
            client::Error::Away { .. } | client::Error::Distrust { .. } => 3,
            client::Error::Refused(_) | client::Error::UnreadableAnswer { .. } => 4,
            client::Error::Interrupted => 130,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_read_enough_is_not_an_error() {
        let broken = Error::Print(io::ErrorKind::BrokenPipe.into());
        assert_eq!(code_of(&broken), ExitCode::SUCCESS);
    }

    #[test]
    fn help_lists_every_code() {
        for code in ["  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "130  "] {
            assert!(HELP.contains(code), "{code}");
        }
    }
}
