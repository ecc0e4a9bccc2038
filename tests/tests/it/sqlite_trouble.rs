//! What may be wrong with a SQLite file: nothing is acknowledged that is not stored, and all goes on by
//! itself once it is mended.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command, time::Duration};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tests::{
    app::{Answer, answer},
    eventually,
    programs::{Running, free_port},
};

const SOON: Duration = Duration::from_secs(30);
/// Blocks of 512 bytes: files cannot grow beyond, as on a disk that is full.
const FULL_DISK: &str = "trap '' XFSZ && ulimit -S -f 900";

/// The standalone program over a file, and what was acknowledged.
struct Scene {
    process: Running,
    url: String,
    batches: i64,
}

const BATCH: i64 = 20;

impl Scene {
    fn start(limits: &str, file: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let url = format!("http://{address}");
        let database = format!("sqlite://{file}");
        let settings = [("BIND_ADDR", address.as_str()), ("DATABASE_URL", &database)];
        Self {
            process: Running::start_limited(limits, "event-aggregator", &settings),
            url,
            batches: 0,
        }
    }

    async fn get(&self, path: &str) -> Option<Answer> {
        let request = tests::http::client().get(format!("{}{path}", self.url));
        let response = request.send().await.ok()?;
        Some((response.status(), response.json().await.ok()?))
    }

    async fn ready(&self) {
        eventually("it is ready", SOON, async || {
            matches!(self.get("/ready").await, Some((StatusCode::OK, _)))
        })
        .await;
    }

    async fn not_ready(&self, says: &str) {
        eventually("it is not ready and says why", SOON, async || {
            let (status, problem) = self.get("/ready").await?;
            let detail = problem["detail"].as_str().unwrap_or_default();
            (status == StatusCode::SERVICE_UNAVAILABLE && detail.contains(says)).then_some(())
        })
        .await;
    }

    async fn stop(mut self) {
        self.process.signal("TERM");
        assert_eq!(self.process.wait_exit(SOON).await, Some(0));
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
        let request = tests::http::client().post(format!("{}/publish", self.url));
        let answer = answer(request.json(&batch)).await;
        self.batches += i64::from(answer.0 == StatusCode::ACCEPTED);
        answer
    }

    async fn assert_exact(&self) {
        let (_, counters) = self.get("/stats").await.unwrap();
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
    let mut scene = Scene::start(FULL_DISK, &file_in(folder.path()));
    scene.ready().await;
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
        scene.process.output().contains("disk"),
        "the log says what is wrong"
    );
    scene.assert_exact().await;

    let room = [
        "--fsize=unlimited:",
        "--pid",
        &scene.process.id().to_string(),
    ];
    assert!(
        Command::new("prlimit")
            .args(room)
            .status()
            .unwrap()
            .success()
    );
    for _ in 0..10 {
        eventually("it is accepted", SOON, async || {
            scene.publish().await.0 == StatusCode::ACCEPTED
        })
        .await;
    }
    scene.assert_exact().await;

    let Scene {
        process, batches, ..
    } = scene;
    process.signal("KILL");
    drop(process);
    let mut scene = Scene::start("true", &file_in(folder.path()));
    scene.batches = batches;
    scene.ready().await;
    scene.assert_exact().await;
}

#[tokio::test]
async fn while_another_process_writes_the_file_clients_wait_and_are_then_told_to_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(folder.path());
    let mut scene = Scene::start("true", &file);
    scene.ready().await;
    assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);

    let url = format!("sqlite://{file}");
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_refused(&scene.publish().await);
    let (status, _) = scene.get("/stats").await.unwrap();
    assert_eq!(status, StatusCode::OK, "reads go on");
    assert!(scene.process.output().contains("database is locked"));
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
    let scene = Scene::start("true", &file);
    scene.ready().await;
    drop(scene);

    let scene = Scene::start("true", &format!("{file}?mode=ro"));
    let problem = eventually("it is not ready", SOON, async || {
        scene
            .get("/ready")
            .await
            .filter(|answer| answer.0 != StatusCode::OK)
    })
    .await;
    assert_refused(&problem);
    let detail = problem.1["detail"].as_str().unwrap();
    assert!(detail.contains("takes no writes"), "{detail}");
    assert!(scene.process.output().contains("takes no writes"));
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
        let mut scene = Scene::start("true", &file);
        scene.ready().await;
        assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);

        (self.happens)(&file);
        assert_refused(&scene.publish().await);
        scene.not_ready(self.says).await;
        assert!(scene.process.output().contains(self.says));

        let Some(undone) = self.undone else {
            // What is lost is lost. After a restart all is well with a new file.
            scene.stop().await;
            let mut scene = Scene::start("true", &file);
            scene.ready().await;
            assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);
            scene.assert_exact().await;
            return;
        };
        undone(&file);
        scene.ready().await;
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
        let mut scene = Scene::start("true", &file);
        scene.ready().await;
        for _ in 0..5 {
            assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);
        }
        fs::remove_file(format!("{file}{suffix}")).unwrap();
        assert_refused(&scene.publish().await);
        scene.not_ready("stop the program with SIGTERM").await;
        let batches = scene.batches;
        scene.stop().await;

        let mut scene = Scene::start("true", &file);
        scene.batches = batches;
        scene.ready().await;
        scene.assert_exact().await;
        assert_eq!(scene.publish().await.0, StatusCode::ACCEPTED);
        scene.assert_exact().await;
    }
}
