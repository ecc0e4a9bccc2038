//! Files that deploy the system.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

/// The folder of the workspace.
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The documents of a YAML file of the workspace.
///
/// # Panics
/// If it is not YAML.
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
