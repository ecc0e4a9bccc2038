//! Files that deploy the system, and what the programs say they understand.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use crate::programs;

/// The folder of the workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The documents of a YAML file of the workspace.
///
/// # Panics
/// If it is no YAML.
#[must_use]
pub fn documents(path: impl AsRef<Path>) -> Vec<Value> {
    let path = Path::new(WORKSPACE).join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names of the files in a folder of the workspace.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn files(folder: &str) -> BTreeSet<String> {
    let entries =
        fs::read_dir(Path::new(WORKSPACE).join(folder)).expect("a folder of the workspace");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    entries.filter_map(name).collect()
}

/// The environment variables that a program takes its settings from, by its `--help`.
///
/// # Panics
/// If it does not say.
#[must_use]
pub fn settings(program: &str) -> BTreeSet<String> {
    let output = Command::new(programs::path(program)).arg("--help").output();
    let help = String::from_utf8(output.expect("it starts").stdout).expect("text");
    let names = help.split("[env: ").skip(1);
    let names = names.filter_map(|rest| rest.split(['=', ']']).next());
    let settings: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(
        !settings.is_empty(),
        "{program} --help names no settings: {help}"
    );
    settings
}
