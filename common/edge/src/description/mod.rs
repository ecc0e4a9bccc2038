//! What a server says about itself.
//!
//! - [`openapi`]: the description of what it serves; [`docs`]: the page that shows it
//! - `index`: `GET /`, which lists what is served; `suggestions`: what an unknown path was probably meant to be

pub mod docs;
pub(crate) mod index;
pub mod openapi;
pub(crate) mod suggestions;
