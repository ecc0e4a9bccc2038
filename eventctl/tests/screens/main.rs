//! What the program prints, compared with the snapshots in this folder. Every run has an empty environment, a width of 100
//! columns, no colours, and a server that gives prepared answers.
//!
//! After an intended change, write new snapshots and look at what has changed:
//! `INSTA_UPDATE=always cargo nextest run -p eventctl; git diff`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod help;
mod usage;

use std::process::Stdio;

use tokio::process::Command;

/// Runs the program to its end; returns all that a person would see.
async fn eventctl(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_eventctl"))
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    let code = output.status.code().unwrap();
    let parts = [
        format!("$ eventctl {}", arguments.join(" ")),
        out,
        if err.is_empty() {
            String::new()
        } else {
            format!("standard error:\n{err}")
        },
        format!("exit code {code}"),
    ];
    let parts = parts.iter().map(|part| part.trim_end());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}
