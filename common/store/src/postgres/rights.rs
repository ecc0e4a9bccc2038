//! What a role that does not own the tables must be allowed.

use std::{collections::BTreeMap, error::Error, fmt::Write};

use sqlx::{PgConnection, error::DatabaseError, query_as};

use crate::StoreError;

/// Every right that the program uses, by what it is a right to
/// ([GRANT](https://www.postgresql.org/docs/current/sql-grant.html)).
const NEEDED: [(&str, &str, &[&str]); 8] = [
    ("TABLE", "_sqlx_migrations", &["SELECT"]),
    ("TABLE", "processed_events", &["SELECT", "INSERT"]),
    ("SEQUENCE", "processed_events_id_seq", &["SELECT"]),
    ("TABLE", "topic_stats", &["SELECT", "INSERT", "UPDATE"]),
    ("TABLE", "agg_stats", &["SELECT", "UPDATE"]),
    ("TABLE", "stats_history", &["SELECT", "INSERT", "DELETE"]),
    (
        "TABLE",
        "worker_claims",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
    (
        "TABLE",
        "dead_letters",
        &["SELECT", "INSERT", "UPDATE", "DELETE"],
    ),
];

/// A sequence is a relation like a table to `has_table_privilege`. A relation that does not exist has no rights.
const MISSING: &str = "
    SELECT name, privilege FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
    WHERE has_table_privilege(to_regclass(name), privilege) IS NOT TRUE";

/// The statements that allow `role` all that the program needs, except changing the tables.
#[must_use]
pub fn grants(role: &str) -> String {
    let role = quoted(role);
    let mut statements = format!("GRANT USAGE ON SCHEMA public TO {role};\n");
    for (kind, name, privileges) in NEEDED {
        let privileges = privileges.join(", ");
        // Writing to a String cannot fail.
        let _ = writeln!(statements, "GRANT {privileges} ON {kind} {name} TO {role};");
    }
    statements
}

/// The rights that the role of this connection lacks, for people: `INSERT on processed_events`. `None`: it has them all.
pub(super) async fn missing(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let needed = NEEDED.iter().flat_map(|(_, name, privileges)| {
        privileges.iter().map(move |&privilege| (*name, privilege))
    });
    let (names, privileges): (Vec<&str>, Vec<&str>) = needed.unzip();
    let missing: Vec<(String, String)> = query_as(MISSING)
        .bind(names)
        .bind(privileges)
        .fetch_all(connection)
        .await?;
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, privilege) in missing {
        by_name.entry(name).or_default().push(privilege);
    }
    let rights: Vec<String> = by_name
        .into_iter()
        .map(|(name, privileges)| format!("{} on {name}", privileges.join(", ")))
        .collect();
    Ok((!rights.is_empty()).then(|| rights.join("; ")))
}

/// With rights as [`missing`] names them.
pub(super) fn forbidden(missing: &str) -> StoreError {
    StoreError::Forbidden(format!(
        "its role lacks rights: {missing}; `aggregator grants ROLE` prints what the owner must run"
    ))
}

/// Whether the database refused something for want of a right: SQLSTATE 42501, or 3F000 without one to any schema.
pub(super) fn are_missing(error: &(dyn Error + 'static)) -> bool {
    let driver = error.downcast_ref::<sqlx::Error>();
    let database = driver.and_then(sqlx::Error::as_database_error);
    let code = database.and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("42501" | "3F000"))
}

/// See [identifiers](https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS).
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_quotes() {
        let statements = grants("a\"; DROP TABLE agg_stats; --");
        for statement in statements.lines() {
            assert!(
                statement.ends_with(" TO \"a\"\"; DROP TABLE agg_stats; --\";"),
                "{statement}"
            );
        }
    }
}
