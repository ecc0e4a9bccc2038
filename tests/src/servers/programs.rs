//! Finding the servers' programs.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The first of these programs, from the first folder of the search path that has them all.
pub(super) fn in_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).find_map(|folder| in_folder(&folder, names))
}

/// The first of these programs, if this folder has them all.
pub(super) fn in_folder(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let all_there = names.iter().all(|name| folder.join(name).is_file());
    all_there.then(|| folder.join(names[0]))
}

/// What a program says its version is; empty if it does not say.
pub(super) fn version(program: &Path) -> String {
    let said = Command::new(program).arg("--version").output();
    let said = said.map(|output| output.stdout).unwrap_or_default();
    version_in(&String::from_utf8_lossy(&said))
}

fn version_in(said: &str) -> String {
    let mut words = said.split([' ', '=', '\n']);
    let version = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    version.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        for (said, version) in [
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1\n",
                "7.0.15",
            ),
            (
                "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n",
                "15.13",
            ),
            ("postgres (PostgreSQL) 18beta1\n", "18beta1"),
            ("", ""),
        ] {
            assert_eq!(version_in(said), version);
        }
    }

    #[test]
    fn a_folder_must_have_all_programs() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one"), "").unwrap();
        assert_eq!(
            in_folder(folder.path(), &["one"]),
            Some(folder.path().join("one"))
        );
        assert_eq!(in_folder(folder.path(), &["one", "two"]), None);
    }
}
