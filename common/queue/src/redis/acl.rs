//! The least rights that a program needs in Redis
//! ([Redis: ACL](https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/)).

use std::{fmt, str::FromStr};

use clap::Args;

use super::keys::{Keys, Tag};

/// What every program does: it connects, looks at the server's settings, and runs scripts.
const COMMON: &str = "+info +config|get +evalsha +script|load +type +llen +get +incrby";
/// What puts events into the queue.
const PUBLISH: &str = "+multi +exec +lpush";
/// What takes them off.
const WORK: &str = "+blmove +lmove +lrange +exists +del +zadd +zscore +zrange +zrem +hset +hget +hdel +sadd +srem +sismember +time";

/// What a Redis user may do with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Put events into it.
    Publish,
    /// Take events off it.
    Work,
    /// Both.
    PublishAndWork,
}

/// The Redis user that gets the rights.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Acl {
    /// The user's name in Redis
    #[arg(default_value = "events", value_name = "USER")]
    pub user: UserName,
}

/// The name of a user in Redis: 1 to 64 letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(String);

const MAX_USER_NAME_BYTES: usize = 64;

/// A text that is not a user's name.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("must be 1 to {MAX_USER_NAME_BYTES} letters, digits, '-', '_' or '.'")]
pub struct UserNameError;

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if (1..=MAX_USER_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(UserNameError)
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `ACL SETUSER …`, with `further` rights.
pub(super) fn line(rights: Rights, user: &UserName, shards: &[&Tag], further: &[&str]) -> String {
    let mut words = vec![format!("ACL SETUSER {user} reset on >PASSWORD")];
    words.extend(further.iter().map(|right| format!("+{right}")));
    words.push(rules(rights, shards));
    words.join(" ")
}

/// The rules that follow the password.
fn rules(rights: Rights, shards: &[&Tag]) -> String {
    let patterns = shards.iter().map(|tag| format!("~{{{tag}}}:*"));
    let keys = patterns.collect::<Vec<_>>().join(" ");
    match rights {
        Rights::Publish => {
            let probes = shards
                .iter()
                .map(|tag| format!("~{}", Keys::new(tag).probe));
            let probes = probes.collect::<Vec<_>>().join(" ");
            // It may remove only the keys that `/ready` tries its rights on.
            format!("{keys} {COMMON} {PUBLISH} ({probes} +del)")
        }
        Rights::Work => format!("{keys} {COMMON} {WORK}"),
        Rights::PublishAndWork => format!("{keys} {COMMON} {PUBLISH} {WORK}"),
    }
}
