//! Admission: which requests are let through.
//!
//! - [`access`]: who may call what; `rate`: how often
//! - [`cors`]: which web pages of other origins may call; `csrf`: what web pages may do without a key
//! - `in_flight`: how much may go on at once; `unsent`: answers count until they are sent; `unread`: bodies that are not
//!   read to their end

pub mod access;
pub mod cors;
pub(crate) mod csrf;
pub(crate) mod in_flight;
pub(crate) mod rate;
pub(crate) mod unread;
pub(crate) mod unsent;
