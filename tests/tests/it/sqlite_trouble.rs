//! What may be wrong with a SQLite file: nothing is acknowledged that is not stored, and all goes on by
//! itself once it is mended.

use std::{fs, path::Path, process::Command};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tests::{
    SOON,
    app::{Answer, App},
    eventually, programs,
};

/// Blocks of 512 bytes: files cannot grow beyond, as on a disk that is full.
const FULL_DISK: &str = "trap '' XFSZ && ulimit -S -f 900";

/// The standalone program over a file, and what was acknowledged.
struct Scene {
    app: App,
    batches: i64,
}

const BATCH: i64 = 20;

impl Scene {
    /// Starts the program with this limit of the size of its files.
    fn start_limited(limits: &str, file: &str) -> Self {
        let database = format!("sqlite://{file}");
        let settings = [("DATABASE_URL", database.as_str())];
        Self {
            app: App::prepared(limits, "event-aggregator", &settings),
            batches: 0,
        }
    }

    async fn start(file: &str) -> Self {
        let scene = Self::start_limited("true", file);
        scene.app.ready().await;
        scene
    }

    /// Publishes the next batch; the same one again until it is accepted.
    async fn publish(&mut self) -> Answer {
        let event = |n| {
            json!({
                "topic": "t",
                "event_id": format!("{}-{n}", self.batches),
                "payload": {"text": "x".repeat(1000)},
            })
        };
        let batch: Value = (0..BATCH).map(event).collect();
        let answer = self.app.post("/publish", batch.to_string()).await;
        self.batches += i64::from(answer.0 == StatusCode::ACCEPTED);
        answer
    }

    async fn assert_exact(&self) {
        let counters = self.app.stats().await;
        let count = |name: &str| counters[name].as_i64().unwrap();
        assert_eq!(
            count("unique_processed"),
            self.batches * BATCH,
            "{counters}"
        );
        assert_eq!(counters["topics"]["t"], self.batches * BATCH);
        assert_eq!(count("dead_lettered"), 0);
    }
}

fn file_in(folder: &Path) -> String {
    folder.join("events.db").display().to_string()
}

fn assert_refused((status, problem): &Answer) {
    assert_eq!(*status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_until_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::start_limited(FULL_DISK, &file_in(folder.path()));
    scene.app.ready().await;
    let refused = eventually("the disk is full", SOON, async || {
        let answer = scene.publish().await;
        (answer.0 != StatusCode::ACCEPTED).then_some(answer)
    })
    .await;
    assert_refused(&refused);
    assert!(
        scene.batches > 3,
        "there was room for some: {}",
        scene.batches
    );
    assert!(
        scene.app.output().contains("disk"),
        "the log says what is wrong"
    );
    scene.assert_exact().await;

    let process = scene.app.running().id().to_string();
    let mut room = Command::new("prlimit");
    room.args(["--fsize=unlimited:", "--pid", &process]);
    let made = programs::run_command(room, &[]).await;
    assert_eq!(made.code, Some(0), "{}", made.err);
    for _ in 0..10 {
        eventually("it is accepted", SOON, async || {
            scene.publish().await.0 == StatusCode::ACCEPTED
        })
        .await;
    }
    scene.assert_exact().await;

    let Scene { mut app, batches } = scene;
    app.signal("KILL");
    app.wait_exit().await;
    let mut scene = Scene::start(&file_in(folder.path())).await;
    scene.batches = batches;
    scene.assert_exact().await;
}

#[tokio::test]
async fn while_another_process_writes_the_file_clients_wait_and_are_then_told_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(folder.path());
    let mut scene = Scene::start(&file).await;
    assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);

    let url = format!("sqlite://{file}");
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_refused(&scene.publish().await);
    let (status, _) = scene.app.get("/stats").await;
    assert_eq!(status, StatusCode::OK, "reads go on");
    assert!(scene.app.output().contains("database is locked"));
    lock.rollback().await.unwrap();

    eventually("it is accepted", SOON, async || {
        scene.publish().await.0 == StatusCode::ACCEPTED
    })
    .await;
    // The first attempt was stored too, or is about to be; then this one was a duplicate.
    scene.assert_exact().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_not_ready_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(folder.path());
    drop(Scene::start(&file).await);

    let scene = Scene::start_limited("true", &format!("{file}?mode=ro"));
    let problem = eventually("it is not ready", SOON, async || {
        let answer = scene.app.try_get("/ready").await;
        answer.filter(|answer| answer.0 != StatusCode::OK)
    })
    .await;
    assert_refused(&problem);
    let detail = problem.1["detail"].as_str().unwrap();
    assert!(detail.contains("takes no writes"), "{detail}");
    assert!(scene.app.output().contains("takes no writes"));
}

/// What can happen to a file while it is in use, and how it is undone.
struct Accident {
    happens: fn(&str),
    undone: Option<fn(&str)>,
    says: &'static str,
}

const ACCIDENTS: [Accident; 4] = [
    Accident {
        happens: |file| fs::remove_file(file).unwrap(),
        undone: None,
        says: "the SQLite file was deleted or replaced",
    },
    Accident {
        happens: |file| fs::rename(file, format!("{file}.away")).unwrap(),
        undone: Some(|file| fs::rename(format!("{file}.away"), file).unwrap()),
        says: "the SQLite file was deleted or replaced",
    },
    Accident {
        happens: |file| {
            fs::rename(file, format!("{file}.away")).unwrap();
            fs::write(file, "").unwrap();
        },
        undone: Some(|file| fs::rename(format!("{file}.away"), file).unwrap()),
        says: "the SQLite file was deleted or replaced",
    },
    Accident {
        happens: |file| {
            fs::copy(file, format!("{file}.copy")).unwrap();
            fs::rename(file, format!("{file}.away")).unwrap();
            fs::rename(format!("{file}.copy"), file).unwrap();
        },
        undone: Some(|file| fs::rename(format!("{file}.away"), file).unwrap()),
        says: "the SQLite file was deleted or replaced",
    },
];

impl Accident {
    async fn happen(self) {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(folder.path());
        let mut scene = Scene::start(&file).await;
        assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);

        (self.happens)(&file);
        assert_refused(&scene.publish().await);
        scene.app.not_ready(self.says).await;
        assert!(scene.app.output().contains(self.says));

        let Some(undone) = self.undone else {
            // What is lost is lost. After a restart all is well with a new file.
            scene.app.stop().await;
            let mut scene = Scene::start(&file).await;
            assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);
            scene.assert_exact().await;
            return;
        };
        undone(&file);
        scene.app.ready().await;
        eventually("it is accepted", SOON, async || {
            scene.publish().await.0 == StatusCode::ACCEPTED
        })
        .await;
        scene.assert_exact().await;
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_file_that_was_deleted_or_replaced() {
    join_all(ACCIDENTS.map(Accident::happen)).await;
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_log_that_was_deleted_and_stopping_saves_what_is_in_it() {
    for suffix in ["-wal", "-shm"] {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(folder.path());
        let mut scene = Scene::start(&file).await;
        for _ in 0..5 {
            assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);
        }
        fs::remove_file(format!("{file}{suffix}")).unwrap();
        assert_refused(&scene.publish().await);
        scene.app.not_ready("stop the program with SIGTERM").await;
        let batches = scene.batches;
        scene.app.stop().await;

        let mut scene = Scene::start(&file).await;
        scene.batches = batches;
        scene.assert_exact().await;
        assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);
        scene.assert_exact().await;
    }
}
