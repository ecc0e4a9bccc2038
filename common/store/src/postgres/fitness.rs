//! Whether events can be stored and counted here, looked at once at start. What is wrong would not show as an error: some
//! events could not be stored, or be stored without being counted.

use sqlx::{FromRow, PgConnection, Row, postgres::PgRow, query_as};

use super::classify::failure;
use crate::StoreError;

/// The one table that has partitions.
const PARTITIONED: &str = "processed_events";

/// `ON CONFLICT` finds what is there by these, and nothing else may decide which rows are new. A bucket's table has a number
/// behind its name.
const UNIQUE: &[(&str, &[&str])] = &[
    ("processed_events_", &["event_id", "topic"]),
    ("topic_stats", &["slot", "topic"]),
    ("worker_claims", &["worker_id"]),
];

/// Of each table: whether it is of the kind that the migrations make; the columns of its unique indexes, each list in order of their names, but for those that are partial,
/// deferred, of expressions, or not built yet; whether it has rules; whether its rows are hidden from this role.
const TABLES: &str = "
    SELECT relname::text AS name, relkind = CASE relname WHEN 'processed_events' THEN 'p' ELSE 'r' END AS is_as_made,
           EXISTS (SELECT FROM pg_rewrite WHERE ev_class = pg_class.oid) AS has_rules,
           row_security_active(oid) AS hides_rows,
           ARRAY(SELECT string_agg(attname, ' ' ORDER BY attname COLLATE \"C\")
                 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY((indkey::int2[])[0:indnkeyatts - 1])
                 WHERE indrelid = pg_class.oid AND indisunique AND indisvalid AND indimmediate
                   AND indpred IS NULL AND indexprs IS NULL
                 GROUP BY indexrelid) AS unique_in
    FROM pg_class
    WHERE oid = ANY(ARRAY['processed_events', 'ledger_buckets', 'agg_stats', 'topic_stats', 'worker_claims',
                          'dead_letters']::regclass[])
       OR oid = to_regclass('processed_events_' || (SELECT max(bucket) FROM ledger_buckets))
    ORDER BY name";

/// Which of the tables Citus has distributed.
const DISTRIBUTED: &str = "
    SELECT logicalrelid::regclass::text FROM pg_dist_partition
    WHERE logicalrelid::oid = ANY(ARRAY['processed_events', 'agg_stats', 'topic_stats', 'worker_claims',
                                        'dead_letters']::regclass[])
    LIMIT 1";

struct Table {
    name: String,
    is_as_made: bool,
    has_rules: bool,
    hides_rows: bool,
    unique_in: Vec<String>,
}

impl FromRow<'_, PgRow> for Table {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            is_as_made: row.try_get("is_as_made")?,
            has_rules: row.try_get("has_rules")?,
            hides_rows: row.try_get("hides_rows")?,
            unique_in: row.try_get("unique_in")?,
        })
    }
}

/// # Errors
/// [`StoreError::Unfit`] says what to do.
pub(super) async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    let (encoding, has_citus): (String, bool) = query_as(
        "SELECT current_setting('server_encoding'), to_regclass('pg_dist_partition') IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failure)?;
    if encoding != "UTF8" {
        return Err(StoreError::Unfit(format!(
            "its encoding is {encoding}, which cannot hold the text of every event; make a database with \
             CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 and name it in DATABASE_URL"
        )));
    }
    let tables: Vec<Table> = query_as(TABLES)
        .fetch_all(&mut *connection)
        .await
        .map_err(failure)?;
    tables.iter().try_for_each(Table::check)?;
    if has_citus {
        let distributed: Option<(String,)> = query_as(DISTRIBUTED)
            .fetch_optional(connection)
            .await
            .map_err(failure)?;
        if let Some((name,)) = distributed {
            return Err(StoreError::Unfit(format!(
                "Citus has distributed the table {name}, and does not tell which rows were inserted, so the \
                 counters would be wrong; run SELECT undistribute_table('{name}')"
            )));
        }
    }
    Ok(())
}

impl Table {
    fn check(&self) -> Result<(), StoreError> {
        let name = &self.name;
        if !self.is_as_made {
            let made = if name == PARTITIONED {
                "a partitioned"
            } else {
                "an ordinary"
            };
            return Err(StoreError::Unfit(format!(
                "{name} is not {made} table (it may be foreign, or a view); put {made} one in its place, as the migrations \
                 made it"
            )));
        }
        if self.has_rules {
            return Err(StoreError::Unfit(format!(
                "the table {name} has a rule, which may keep rows out of it without an error; drop the rule"
            )));
        }
        if self.hides_rows {
            return Err(StoreError::Unfit(format!(
                "the table {name} has row-level security, which hides rows from this role; give the role BYPASSRLS, or \
                 disable it: ALTER TABLE {name} DISABLE ROW LEVEL SECURITY"
            )));
        }
        let is_of = |of: &str| name == of || (of.ends_with('_') && name.starts_with(of));
        for (_, columns) in UNIQUE.iter().filter(|(of, _)| is_of(of)) {
            if !self.unique_in.contains(&columns.join(" ")) {
                let columns = columns.join(", ");
                return Err(StoreError::Unfit(format!(
                    "the table {name} has no unique constraint on ({columns}), so events would be stored more than once; \
                     remove repeated rows, then ALTER TABLE {name} ADD UNIQUE ({columns})"
                )));
            }
        }
        Ok(())
    }
}
