//! Profiles: servers with names, in a file of the user.
//!
//! The file is `eventctl/profiles.toml` in the folder for configuration
//! ([XDG](https://specifications.freedesktop.org/basedir-spec/latest/)). Only its owner can read it, because it may hold keys.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::error::Error;

const FILE: &str = "eventctl/profiles.toml";

/// A server with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// The publisher, or the standalone server.
    pub(crate) url: Option<String>,
    /// The aggregator.
    pub(crate) read_url: Option<String>,
    /// The API key.
    pub(crate) key: Option<String>,
    /// The authorities to trust.
    pub(crate) ca_cert: Option<PathBuf>,
}

/// All profiles, by name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Profiles {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Those of this user. Without a file there are none.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn read() -> Result<Self, Error> {
        Self::read_from(&path()?)
    }

    fn read_from(path: &Path) -> Result<Self, Error> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::file(path, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            Error::file(
                path,
                &format!("{}; mend the file, or remove it", error.message()),
            )
        })
    }

    /// Writes them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&self) -> Result<PathBuf, Error> {
        let path = path()?;
        self.write_to(&path)
            .map_err(|error| Error::file(&path, &error))?;
        Ok(path)
    }

    /// The file is replaced as a whole, so that a full disk leaves the former one.
    fn write_to(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let text = toml::to_string(self).map_err(io::Error::other)?;
        // Only its owner can read a temporary file.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    }

    /// The one of this name.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn get(&self, name: &str) -> Result<&Profile, Error> {
        self.profile.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.profile.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there are none yet".to_owned()
            } else {
                format!("there are: {}", known.join(", "))
            };
            Error::Usage(format!(
                "there is no profile {name:?}; {known}; add one with: eventctl profile add {name} --url URL"
            ))
        })
    }

    /// Adds one, or replaces the one of this name.
    pub(crate) fn set(&mut self, name: &str, profile: Profile) {
        self.profile.insert(name.to_owned(), profile);
    }

    /// Removes one. `false`: there is none.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.profile.remove(name).is_some()
    }

    /// All, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Profile)> {
        self.profile.iter()
    }
}

fn path() -> Result<PathBuf, Error> {
    let folder = |name: &str| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let configuration = folder("XDG_CONFIG_HOME")
        .or_else(|| Some(folder("HOME")?.join(".config")))
        .or_else(|| folder("APPDATA"));
    configuration
        .map(|folder| folder.join(FILE))
        .ok_or_else(|| {
            let reason = "there is no folder for profiles; set HOME or XDG_CONFIG_HOME";
            Error::Usage(reason.to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(url: &str) -> Profile {
        Profile {
            url: Some(url.to_owned()),
            key: Some("ek_secret".to_owned()),
            ..Profile::default()
        }
    }

    #[test]
    fn profiles_are_kept_in_a_file_that_only_its_owner_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/profiles.toml");
        let mut profiles = Profiles::read_from(&path).unwrap();
        assert_eq!(profiles.iter().count(), 0);
        profiles.set("prod", profile("https://a"));
        profiles.set("test", profile("http://b"));
        profiles.write_to(&path).unwrap();
        let mut read = Profiles::read_from(&path).unwrap();
        assert_eq!(read.get("prod").unwrap(), &profile("https://a"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(read.remove("prod") && !read.remove("prod"));
        let missing = read.get("prod").unwrap_err().to_string();
        assert!(missing.contains("there are: test"), "{missing}");
    }

    #[test]
    fn a_file_with_a_mistake_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profiles.toml");
        fs::write(&path, "[profile.a]\nurll = \"x\"").unwrap();
        let said = Profiles::read_from(&path).unwrap_err().to_string();
        assert!(
            said.contains("profiles.toml") && said.contains("urll"),
            "{said}"
        );
    }
}
