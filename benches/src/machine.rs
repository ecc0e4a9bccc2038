//! The machine on which the figures were measured.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// File systems that keep their files in memory, where durability takes no time.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
const GIB: u64 = 1 << 30;

/// The machine, and what the programs were built from.
#[derive(Default, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processors: f64,
    pub(crate) model: String,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The file system of the servers' data.
    pub(crate) file_system: String,
    pub(crate) compiler: String,
    pub(crate) commit: String,
}

impl Machine {
    /// Describes this machine. `data` is the folder of the servers' data.
    pub(crate) fn this(data: &Path) -> Result<Self> {
        Ok(Self {
            processors: crate::processes::processors(),
            model: model().unwrap_or_else(|| "unknown".to_owned()),
            memory_gib: memory("MemTotal:")? / GIB,
            kernel: output_of("uname", &["-sr"])?,
            file_system: file_system(data)?,
            compiler: output_of("rustc", &["--version"])?,
            commit: commit()?,
        })
    }
}

/// Refuses a folder whose files are only in memory.
pub(crate) fn must_be_on_disk(folder: &Path) -> Result<()> {
    let file_system = file_system(folder)?;
    if IN_MEMORY.contains(&file_system.as_str()) {
        bail!(
            "{} is on {file_system}, where durability takes no time; set TMPDIR to a folder on a disk",
            folder.display()
        );
    }
    Ok(())
}

/// How many bytes are free on the disk of this folder.
pub(crate) fn free_disk(folder: &Path) -> Result<u64> {
    let folder = folder
        .to_str()
        .context("the path of the folder is not UTF-8")?;
    let said = output_of("df", &["--output=avail", "-B1", folder])?;
    let number = said
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok());
    number.with_context(|| format!("df printed no number: {said}"))
}

/// How many bytes of memory are free for programs.
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
    let text = fs::read_to_string("/proc/meminfo")
        .context("/proc/meminfo cannot be read; this program needs Linux")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kibibytes.with_context(|| format!("/proc/meminfo does not have {name}"))? * 1024)
}

fn file_system(folder: &Path) -> Result<String> {
    let folder = folder
        .to_str()
        .context("the path of the folder is not UTF-8")?;
    let said = output_of("df", &["--output=fstype", folder])?;
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

fn commit() -> Result<String> {
    let commit = output_of("git", &["rev-parse", "--short=10", "HEAD"])?;
    // The files that the benchmarks write do not change what is measured.
    let changes = output_of("git", &["status", "--porcelain", "--", ":!docs"])?;
    let changed = if changes.is_empty() { "" } else { "-changed" };
    Ok(format!("{commit}{changed}"))
}

fn output_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace())
        .output()
        .with_context(|| format!("{program} cannot be run; install it"))?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
