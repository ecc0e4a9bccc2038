//! What the figures were measured on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// File systems that keep nothing on a disk: durability would cost nothing there.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
const GIB: u64 = 1 << 30;

/// The machine, and what was built.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processors: f64,
    pub(crate) model: String,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// File system of the servers' data.
    pub(crate) file_system: String,
    pub(crate) compiler: String,
    pub(crate) commit: String,
}

impl Machine {
    /// `data`: where the servers keep theirs.
    pub(crate) fn this(data: &Path) -> Result<Self> {
        Ok(Self {
            processors: crate::processes::processors(),
            model: model().unwrap_or_else(|| "unknown".to_owned()),
            memory_gib: memory("MemTotal:")? / GIB,
            kernel: said_by("uname", &["-sr"])?,
            file_system: file_system(data)?,
            compiler: said_by("rustc", &["--version"])?,
            commit: commit()?,
        })
    }
}

/// Refuses a folder whose files are in memory only.
pub(crate) fn must_be_on_disk(folder: &Path) -> Result<()> {
    let file_system = file_system(folder)?;
    if IN_MEMORY.contains(&file_system.as_str()) {
        bail!(
            "{} is a {file_system}, where being durable costs nothing: set TMPDIR to a folder on a disk",
            folder.display()
        );
    }
    Ok(())
}

/// Bytes that are free on the disk of this folder.
pub(crate) fn free_disk(folder: &Path) -> Result<u64> {
    let folder = folder.to_str().context("a folder's path is not UTF-8")?;
    let said = said_by("df", &["--output=avail", "-B1", folder])?;
    let number = said
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok());
    number.with_context(|| format!("df says: {said}"))
}

/// Bytes of memory that programs can still have.
pub(crate) fn free_memory() -> Result<u64> {
    memory("MemAvailable:")
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

fn model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("this program needs Linux")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.with_context(|| format!("/proc/meminfo says nothing of {name}"))? * 1024)
}

fn file_system(folder: &Path) -> Result<String> {
    let folder = folder.to_str().context("a folder's path is not UTF-8")?;
    let said = said_by("df", &["--output=fstype", folder])?;
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

fn commit() -> Result<String> {
    let commit = said_by("git", &["rev-parse", "--short=10", "HEAD"])?;
    // What the benchmarks themselves write does not change what is measured.
    let changes = said_by("git", &["status", "--porcelain", "--", ":!docs"])?;
    let changed = if changes.is_empty() { "" } else { "-changed" };
    Ok(format!("{commit}{changed}"))
}

fn said_by(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace())
        .output()
        .with_context(|| format!("{program} cannot be run: install it"))?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
