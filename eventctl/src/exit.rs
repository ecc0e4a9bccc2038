//! Exit codes: what a script may rely on.

use std::process::ExitCode;

use crate::error::Error;

/// What `--help` says about exit codes.
pub const HELP: &str = "\
Exit codes:
    0  done, and all is well
    1  done, and not all is well: events were refused, counters differ, nothing of this id
    2  wrong usage, or a file that cannot be used
    3  the server is away, was too busy for too long, or one side does not trust the other's certificate
    4  the server refused the request
  130  interrupted before the end";

/// How a command that came to its end has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Well,
    /// The command did its work and found what is not well.
    Unwell,
    /// A signal ended it before its end.
    Interrupted,
}

impl Outcome {
    /// [`Outcome::Well`], if it is.
    #[must_use]
    pub const fn well_if(well: bool) -> Self {
        if well { Self::Well } else { Self::Unwell }
    }

    /// Its exit code.
    #[must_use]
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Well => 0,
            Self::Unwell => 1,
            Self::Interrupted => 130,
        })
    }
}

/// The exit code of a command that could not go on.
#[must_use]
pub fn code_of(error: &Error) -> ExitCode {
    ExitCode::from(match error {
        // Whoever reads has read enough: `eventctl events | head`.
        Error::Print(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
        Error::Usage(_) | Error::File { .. } | Error::Print(_) => 2,
        Error::Away { .. } | Error::Distrust { .. } => 3,
        Error::Refused(_) | Error::Answer { .. } => 4,
        Error::Interrupted => 130,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_read_enough_is_no_error() {
        let broken = Error::Print(std::io::ErrorKind::BrokenPipe.into());
        assert_eq!(code_of(&broken), ExitCode::SUCCESS);
    }

    #[test]
    fn help_lists_every_code() {
        for code in ["  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "130  "] {
            assert!(HELP.contains(code), "{code}");
        }
    }
}
