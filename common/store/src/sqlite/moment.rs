//! Times as SQLite keeps them: microseconds since 1970.

use chrono::{DateTime, Utc};

/// The time in a column.
///
/// # Errors
/// [`sqlx::Error::Decode`] if the calendar has no such time.
pub(super) fn moment(column: &str, micros: i64) -> sqlx::Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| sqlx::Error::Decode(format!("{column} is out of range").into()))
}
