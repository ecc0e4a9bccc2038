//! The standalone program promises the same over its queue in memory and SQLite: what it has
//! acknowledged survives `kill -9`, and the counters stay exact.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use futures_util::future::join_all;
use serde_json::{Value, json};
use store::Store;
use store::sqlite::Sqlite;
use tests::{app::App, programs};

const ROUNDS: usize = 4;
const CLIENTS: usize = 6;
/// Batches that a client sends in one round, unless the program dies before.
const BATCHES: usize = 400;

fn database_url(folder: &Path) -> String {
    format!("sqlite://{}/events.db", folder.display())
}

async fn start(folder: &Path) -> App {
    let settings = [("DATABASE_URL", &*database_url(folder))];
    let app = App::process("event-aggregator", &settings);
    app.ready().await;
    app
}

/// Sends until the program is gone; answers the ids that were acknowledged.
async fn send(app: &App, round: usize, client: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for batch in 0..BATCHES {
        let ids: Vec<String> = (0..5)
            .map(|n| format!("{round}-{client}-{batch}-{n}"))
            .collect();
        let events: Value = ids
            .iter()
            .map(|id| json!({"topic": "t", "event_id": id}))
            .collect();
        let path = if batch % 2 == 0 {
            "/publish"
        } else {
            "/ingest"
        };
        match app.try_post(path, events.to_string()).await {
            Some((status, _)) if status.is_success() => acknowledged.extend(ids),
            _ => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut app = start(folder.path()).await;
        let clients = (0..CLIENTS).map(|client| send(&app, round, client));
        let kill = async {
            // In the middle of the load, a little later each round.
            tokio::time::sleep(Duration::from_millis(150 + 90 * round as u64)).await;
            app.signal("KILL");
        };
        let (sent, ()) = tokio::join!(join_all(clients), kill);
        assert_eq!(app.wait_exit().await, None, "it was killed");
        acknowledged.extend(sent.into_iter().flatten());
    }
    assert!(acknowledged.len() > ROUNDS * CLIENTS, "there was a load");

    let store = Sqlite::open(&database_url(folder.path())).unwrap();
    store.migrate().await.unwrap();
    let topic = "t".try_into().unwrap();
    for id in &acknowledged {
        let event_id = id.as_str().try_into().unwrap();
        let stored = store.event(&topic, &event_id).await.unwrap();
        assert!(stored.is_some(), "{id} was acknowledged, and is lost");
    }
    let audit = store.audit().await.unwrap();
    assert!(audit.is_exact(), "{audit}");
    store.close().await;
}

#[tokio::test]
async fn a_file_that_is_not_a_database_ends_the_start_with_a_message_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.db");
    let content = "this is somebody's letter, not a database. ".repeat(200);
    fs::write(&file, &content).unwrap();
    let url = database_url(folder.path());
    let settings = [("DATABASE_URL", url.as_str()), ("BIND_ADDR", "127.0.0.1:0")];
    let ended = programs::run("event-aggregator", &[], &settings).await;
    let said = ended.out + &ended.err;
    assert!(ended.code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains("not a database"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
}
