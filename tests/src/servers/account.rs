//! Whom a server runs as.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

/// Whom a server runs as.
#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Account {
    /// For a server that refuses to run as root: if this is root, another account, which is given the
    /// new folder.
    pub(super) fn instead_of_root(folder: &Path) -> Result<Option<Self>> {
        // Whoever makes a folder owns it.
        if fs::metadata(folder)?.uid() != 0 {
            return Ok(None);
        }
        let account = ["postgres", "nobody"].into_iter().find_map(|name| {
            Some(Self {
                user: id("-u", name)?,
                group: id("-g", name)?,
            })
        });
        let account = account
            .context("there is no account postgres or nobody: do not run the tests as root")?;
        chown(folder, Some(account.user), Some(account.group))?;
        Ok(Some(account))
    }
}

/// Writes a file that only this account can read.
pub(super) fn put(path: &Path, content: &str, account: Option<Account>) -> Result<()> {
    fs::write(path, content)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    if let Some(account) = account {
        chown(path, Some(account.user), Some(account.group))?;
    }
    Ok(())
}

fn id(which: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([which, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
