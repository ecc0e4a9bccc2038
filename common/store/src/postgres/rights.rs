//! What a role that does not own the tables must be allowed.

use std::{collections::BTreeMap, error::Error, fmt::Write};

use sqlx::{PgConnection, error::DatabaseError, query_as};

use crate::StoreError;

/// Every right that the program uses, by what it is a right to
/// ([GRANT](https://www.postgresql.org/docs/current/sql-grant.html)).
const NEEDED: [(&str, &str, &[&str]); 17] = [
    ("TABLE", "_sqlx_migrations", &["SELECT"]),
    ("TABLE", "processed_events", &["SELECT", "INSERT"]),
    ("SEQUENCE", "processed_events_id_seq", &["SELECT", "USAGE"]),
    ("TABLE", "ledger_buckets", &["SELECT"]),
    ("TABLE", "bucket_filters", &["SELECT", "INSERT", "UPDATE"]),
    ("TABLE", "retired_events", &["SELECT"]),
    ("TABLE", "topic_stats", &["SELECT", "INSERT", "UPDATE"]),
    ("TABLE", "topic_stats_total", &["SELECT"]),
    ("TABLE", "agg_stats", &["SELECT", "INSERT", "UPDATE"]),
    ("TABLE", "agg_stats_total", &["SELECT"]),
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
    ("TABLE", "queue_layouts", &["SELECT", "INSERT"]),
    ("FUNCTION", "open_next_bucket(integer)", &["EXECUTE"]),
    ("FUNCTION", "seal_bucket(integer)", &["EXECUTE"]),
    (
        "FUNCTION",
        "drop_oldest_bucket(interval, interval, integer)",
        &["EXECUTE"],
    ),
];

/// What may be done with `processed_events` may be done with the open bucket, too; those that are opened later follow by themselves.
const ON_OPEN_BUCKET: &str =
    "SELECT grant_on_bucket(bucket) FROM ledger_buckets WHERE closed_at IS NULL;";

/// What does not exist has no rights. The open bucket's table is needed beside those that have a name of their own.
const MISSING: &str = "
    SELECT name, privilege FROM unnest($1::text[], $2::text[], $3::text[]) AS needed (kind, name, privilege)
    WHERE CASE kind
        WHEN 'FUNCTION' THEN has_function_privilege(to_regprocedure(name), privilege)
        WHEN 'SEQUENCE' THEN has_sequence_privilege(to_regclass(name), privilege)
        ELSE has_table_privilege(to_regclass(name), privilege)
    END IS NOT TRUE
    UNION ALL
    SELECT name, privilege
    FROM (SELECT 'processed_events_' || max(bucket) AS name FROM ledger_buckets) AS open
    CROSS JOIN (VALUES ('SELECT'), ('INSERT')) AS needed (privilege)
    WHERE has_table_privilege(to_regclass(name), privilege) IS NOT TRUE";

/// What people may look at: docs/SQL.md.
const READABLE: [&str; 7] = [
    "processed_events",
    "ledger_buckets",
    "retired_events",
    "agg_stats_total",
    "topic_stats_total",
    "stats_history",
    "dead_letters",
];

/// The statements that allow `role` to read what is stored and counted, and nothing else.
#[must_use]
pub fn reading_grants(role: &str) -> String {
    let role = quoted(role);
    let tables = READABLE.join(", ");
    format!("GRANT USAGE ON SCHEMA public TO {role};\nGRANT SELECT ON {tables} TO {role};\n")
}

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
    statements.push_str(ON_OPEN_BUCKET);
    statements.push('\n');
    statements
}

/// The rights that the role of this connection lacks, for people: `INSERT on processed_events`. `None`: it has them all.
pub(super) async fn missing(connection: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let needed = NEEDED.iter().flat_map(|(kind, name, privileges)| {
        let needed = privileges.iter();
        needed.map(move |&privilege| (*kind, (*name, privilege)))
    });
    let (kinds, needed): (Vec<&str>, Vec<(&str, &str)>) = needed.unzip();
    let (names, privileges): (Vec<&str>, Vec<&str>) = needed.into_iter().unzip();
    let missing: Vec<(String, String)> = query_as(MISSING)
        .bind(kinds)
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
        let role = "a\"; DROP TABLE agg_stats; --";
        let statements = grants(role) + &reading_grants(role);
        let granted = statements.lines().filter(|line| *line != ON_OPEN_BUCKET);
        for statement in granted {
            assert!(
                statement.ends_with(" TO \"a\"\"; DROP TABLE agg_stats; --\";"),
                "{statement}"
            );
        }
    }
}
