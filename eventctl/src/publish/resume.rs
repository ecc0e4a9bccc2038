//! The resume file: up to which place the input is done, so that a run that was interrupted can continue there.
//!
//! Events behind that place may have been accepted already. They are sent again with the same ids, so the server counts
//! duplicates and stores nothing twice.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{digest::sha256, input::Position};
use crate::error::Error;

/// How many bytes at the beginning of the input identify it.
const HEAD_BYTES: u64 = 4096;
/// The version of the format of the file.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    version: u32,
    #[serde(flatten)]
    position: Position,
    /// The SHA-256 of the first bytes of the input.
    head_sha256: String,
    /// How many bytes those are.
    head_bytes: usize,
}

/// A resume file.
#[derive(Debug)]
pub(super) struct Resume {
    path: PathBuf,
    head: Vec<u8>,
}

impl Resume {
    /// The file for this input, and the place to continue from; `None` if there is no such file yet.
    ///
    /// # Errors
    /// If a file cannot be read, or if the resume file belongs to another input.
    pub(super) fn open(path: &Path, input: &Path) -> Result<(Self, Option<Position>), Error> {
        let mut head = Vec::new();
        File::open(input)
            .and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head))
            .map_err(|error| Error::file(input, &error))?;
        let resume = Self {
            path: path.to_owned(),
            head,
        };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok((resume, None));
            }
            Err(error) => return Err(Error::file(path, &error)),
        };
        let saved: Saved = serde_json::from_slice(&text)
            .map_err(|error| Error::file(path, &format!("is not a resume file: {error}")))?;
        if saved.version != VERSION {
            let reason = format!(
                "is a resume file of version {}; this program reads version {VERSION}",
                saved.version
            );
            return Err(Error::file(path, &reason));
        }
        if resume.head.get(..saved.head_bytes).map(sha256) != Some(saved.head_sha256) {
            let reason = "belongs to another input; remove it to start from the beginning";
            return Err(Error::file(path, &reason));
        }
        Ok((resume, Some(saved.position)))
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes up to which place the input is done. The file has the old content or the new one, never a part of it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn save(&self, position: Position) -> Result<(), Error> {
        let before = usize::try_from(position.offset).unwrap_or(usize::MAX);
        let head = &self.head[..self.head.len().min(before)];
        let saved = Saved {
            version: VERSION,
            position,
            head_sha256: sha256(head),
            head_bytes: head.len(),
        };
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            serde_json::to_writer(&file, &saved)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| Error::file(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::input::Format, *};

    struct Files {
        folder: tempfile::TempDir,
    }

    impl Files {
        fn new(input: &str) -> Self {
            let files = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            fs::write(files.input(), input).unwrap();
            files
        }

        fn input(&self) -> PathBuf {
            self.folder.path().join("input")
        }

        fn resume(&self) -> PathBuf {
            self.folder.path().join("resume")
        }

        fn open(&self) -> Result<(Resume, Option<Position>), Error> {
            Resume::open(&self.resume(), &self.input())
        }
    }

    const AT: Position = Position {
        offset: 6,
        lines: 2,
        format: Format::Lines,
    };

    #[test]
    fn a_run_continues_where_the_last_one_ended() {
        let files = Files::new("{}\n{}\n{}\n");
        let (resume, at) = files.open().unwrap();
        assert_eq!(at, None);
        resume.save(AT).unwrap();
        assert_eq!(files.open().unwrap().1, Some(AT));
    }

    #[test]
    fn an_input_may_grow_but_not_change() {
        let files = Files::new("{}\n{}\n");
        files.open().unwrap().0.save(AT).unwrap();
        fs::write(files.input(), "{}\n{}\n{\"more\":1}\n").unwrap();
        assert_eq!(files.open().unwrap().1, Some(AT));
        fs::write(files.input(), "{}\n[]\n").unwrap();
        let error = files.open().unwrap_err().to_string();
        assert!(error.contains("another input"), "{error}");
    }

    #[test]
    fn another_file_is_not_taken_for_a_resume_file() {
        let files = Files::new("{}\n");
        fs::write(files.resume(), "a letter").unwrap();
        let error = files.open().unwrap_err().to_string();
        assert!(error.contains("is not a resume file"), "{error}");
        assert_eq!(fs::read_to_string(files.resume()).unwrap(), "a letter");
    }
}
