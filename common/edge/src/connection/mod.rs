//! Connections: how many there may be, and how slow their clients may be.
//!
//! - `places`: the connections of one server thread, and which one has to go when there are more; `open_files`: how many
//!   the process may have
//! - `handshake`: from a socket to a connection; `client_certificate`: which clients have shown one
//! - `stream`: a connection, plain or over TLS; `pace`: how fast its bytes must move

pub(crate) mod client_certificate;
pub(crate) mod handshake;
pub(crate) mod open_files;
pub(crate) mod pace;
pub(crate) mod places;
pub(crate) mod stream;
