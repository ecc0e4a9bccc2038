//! Who may do what: API keys, their scopes, and the file they are in.
//!
//! - [`key`]: a secret, and the hash of it that is stored
//! - [`keyring`]: the keys of a file; [`mod@file`]: reading it, without ever repeating what is in it
//! - `scope`, [`rate`]: what a key allows, and how much of it
//! - `caller`: who a request comes from
//! - [`command`]: `keys new`, which makes one
//! - [`gate`]: the keys in force, which follow the file
//! - [`hosts`]: by which names a server without keys may be called
//!
//! What a request needs is decided in [`access`](crate::admission::access).

mod caller;
pub mod command;
pub mod file;
pub mod gate;
pub mod hosts;
pub mod key;
pub mod keyring;
pub mod rate;
mod scope;

pub use caller::Caller;
pub use gate::Gate;
pub use hosts::LocalHosts;
pub use key::{ApiKey, KeyHash};
pub use keyring::{Key, Keyring};
pub use scope::{Metered, Scope};
