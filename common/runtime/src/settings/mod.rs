//! Settings: every setting is a flag and an environment variable.
//!
//! Each crate declares its own settings as a clap argument group. Here is what the groups share.
//!
//! - `environment`: reads them when a program starts
//! - `units`: how sizes, times and addresses are written

mod environment;
mod units;

use std::{convert::Infallible, fmt, str::FromStr};

pub use environment::parse;
pub use units::{bind_address, bytes, seconds};

/// A text that must not be shown, such as an address with a password in it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text itself; for the driver it is meant for, never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
