//! The page for people, in a real browser.

mod events;
mod letters;
mod look;
mod states;

use serde_json::{Value, json};
use tests::{
    app::App,
    browser::Browser,
    programs::{Ended, run_command},
};

/// A window with room for all sections side by side.
const WIDE: u32 = 1280;
/// A telephone.
const NARROW: u32 = 360;

async fn open(app: &App) -> Browser {
    Browser::open(&app.url, WIDE).await
}

/// Events of a topic with the ids 1 to `count`.
fn events(topic: &str, count: usize) -> Value {
    let event = |id: usize| json!({"topic": topic, "event_id": id.to_string()});
    (1..=count).map(event).collect()
}

/// Runs a line as a person would in a terminal.
async fn shell(line: &str) -> Ended {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", line]);
    run_command(command, &[]).await
}
