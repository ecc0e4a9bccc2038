//! What the errors of a server mean, and what to do about each, in words that anyone may read
//! ([Redis: error replies](https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors)).

use redis::{ErrorKind, RedisError};

use super::{failure::Failure, scripts::REHEARSAL};

/// Most characters of a command or a key that is named.
const MAX_NAME_CHARS: usize = 100;

/// Why the server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is known without looking into what the server said.
    Plain(String),
    /// This user may not run this command, if it is known which.
    MayNotRun(Option<String>),
    /// This user may not use this key, if it is known which.
    MayNotUse(Option<String>),
    /// This key, if it is known which, holds a value of another type.
    WrongType(Option<String>),
}

impl Refusal {
    pub(super) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Redis(error) => Self::of_driver(error),
            Failure::Unfit(unfit) => Self::Plain(unfit.to_string()),
            Failure::Untrusted(distrust) => {
                Self::Plain(distrust.advice("REDIS_CA_CERT", "REDIS_URL"))
            }
            Failure::Unreplicated(too_few) => Self::Plain(too_few.to_string()),
            Failure::Foreign(_) => Self::Plain(failure.to_string()),
        }
    }

    /// Whether another look may tell more.
    pub(super) fn is_vague(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::MayNotRun(name) | Self::MayNotUse(name) | Self::WrongType(name) => name.is_none(),
        }
    }

    pub(super) fn shown(&self) -> String {
        const RIGHTS: &str = "the programs' command `acl` prints the rights that are needed";
        match self {
            Self::Plain(text) => text.clone(),
            Self::MayNotRun(Some(command)) => {
                format!("its user may not run the command {command}; {RIGHTS}")
            }
            Self::MayNotRun(None) => {
                format!("its user may not run a command that the queue needs; {RIGHTS}")
            }
            Self::MayNotUse(Some(key)) => format!("its user may not use the key {key}; {RIGHTS}"),
            Self::MayNotUse(None) => format!("its user may not use the queue's keys; {RIGHTS}"),
            Self::WrongType(Some(key)) => {
                format!("the key {key} holds something that is not the queue's; remove it")
            }
            Self::WrongType(None) => {
                "one of the queue's keys holds something that is not the queue's; remove it"
                    .to_owned()
            }
        }
    }

    fn of_driver(error: &RedisError) -> Self {
        if error.is_connection_refusal() {
            return plain("nothing listens at its address; start it, or check REDIS_URL");
        }
        if error.is_timeout() {
            return plain("it does not answer in time");
        }
        match error.kind() {
            ErrorKind::Io if error.to_string().contains("failed to lookup address") => {
                plain("the name of its host is not known; check REDIS_URL")
            }
            ErrorKind::Io => plain("the connection to it broke"),
            ErrorKind::AuthenticationFailed => {
                plain("it refuses the user or the password in REDIS_URL")
            }
            _ => Self::of_answer(
                error.code().unwrap_or_default(),
                error.detail().unwrap_or_default(),
            ),
        }
    }

    /// Of an error reply: its code, and the text that follows it.
    fn of_answer(code: &str, text: &str) -> Self {
        match code {
            REHEARSAL => Self::of_rehearsal(text),
            "NOAUTH" => {
                plain("it wants a password; give redis://USER:PASSWORD@HOST:PORT in REDIS_URL")
            }
            "WRONGPASS" => plain("it refuses the user or the password in REDIS_URL"),
            "NOPERM" => without_right(text),
            "ERR" if is_about_rights(text) => without_right(text),
            "ERR" if text.starts_with("max number of clients") => {
                plain("it takes no more connections; raise its maxclients")
            }
            "LOADING" => plain("it is loading its data; wait until it has"),
            "READONLY" => plain("it is a read-only replica; point REDIS_URL at its primary"),
            "MASTERDOWN" => {
                plain("it is a replica that has lost its primary; point REDIS_URL at the primary")
            }
            "MISCONF" => plain(
                "it refuses writes because it could not save its data to disk (MISCONF); its log says why",
            ),
            "NOREPLICAS" => plain(
                "it refuses writes because too few replicas follow it (min-replicas-to-write)",
            ),
            "OOM" => plain(
                "its memory is full (maxmemory); wait until the queue has drained, or raise it",
            ),
            "WRONGTYPE" => Self::WrongType(None),
            "CLUSTERDOWN" => plain(
                "its cluster is down, because some slots have no primary; wait for a failover, or look at CLUSTER INFO",
            ),
            "MOVED" | "ASK" | "CROSSSLOT" | "TRYAGAIN" => plain(
                "it is a node of a cluster, and the queue is on another one; give redis-cluster://HOST:PORT in REDIS_URL",
            ),
            "BUSY" => plain("a script of somebody else keeps it busy; see SCRIPT KILL"),
            "" => plain("it does not answer as Redis does; check REDIS_URL"),
            _ => plain("it refuses what the queue needs; the log has its answer"),
        }
    }

    /// The rehearsal says before the answer itself which command it was, and which key.
    fn of_rehearsal(text: &str) -> Self {
        let mut words = text.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (command, key, code, rest) = (word(), word(), word(), word());
        match Self::of_answer(code, rest) {
            Self::MayNotRun(_) => Self::MayNotRun(named(&command.to_ascii_lowercase())),
            Self::MayNotUse(_) => Self::MayNotUse(named(key)),
            Self::WrongType(_) => Self::WrongType(named(key)),
            plain @ Self::Plain(_) => plain,
        }
    }
}

fn plain(text: &str) -> Refusal {
    Refusal::Plain(text.to_owned())
}

/// What scripts get to see of a missing right, in Redis 7.0 and later.
fn is_about_rights(text: &str) -> bool {
    text.starts_with("The user executing the script can't")
        || text.starts_with("ACL failure in script")
}

/// Which right it is, as far as the text names it: commands and keys are in quotation marks.
fn without_right(text: &str) -> Refusal {
    let name = text.split('\'').nth(1).and_then(named);
    if text.contains(" access ") {
        Refusal::MayNotUse(name)
    } else {
        // Scripts are told "can't run": the text between quotation marks there is not a name.
        let name = name.filter(|_| text.contains("run the '"));
        Refusal::MayNotRun(name)
    }
}

/// A name that can be shown to anyone: it is ours, or a command's.
fn named(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "{}-_.:|".contains(c);
    let fits = !text.is_empty() && text.len() <= MAX_NAME_CHARS && text.chars().all(allowed);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn shown(code: &str, text: &str) -> String {
        Refusal::of_answer(code, text).shown()
    }

    #[test]
    fn a_missing_right_is_named() {
        let run = shown(
            "NOPERM",
            "this user has no permissions to run the 'blmove' command",
        );
        assert!(run.contains("run the command blmove;"), "{run}");
        let run = shown(
            "NOPERM",
            "User a has no permissions to run the 'config|get' command",
        );
        assert!(run.contains("run the command config|get;"), "{run}");
        let script = "ERR The user executing the script can't run this command or subcommand";
        let run = shown(REHEARSAL, &format!("ZADD {{e}}:probe {script}"));
        assert!(run.contains("run the command zadd;"), "{run}");
        let newer =
            "NOPERM ACL failure in script: User a has no permissions to run the 'zadd' command";
        let run = shown(REHEARSAL, &format!("zadd {{e}}:probe {newer}"));
        assert!(run.contains("run the command zadd;"), "{run}");
        let script = "ERR The user executing the script can't access at least one of the keys";
        let key = shown(REHEARSAL, &format!("TYPE {{e}}:queue {script}"));
        assert!(key.contains("use the key {e}:queue;"), "{key}");
        let key = shown("NOPERM", "No permissions to access a key");
        assert!(key.contains("may not use the queue's keys"), "{key}");
    }

    #[test]
    fn a_key_of_another_type_is_named_where_it_is_known() {
        let known = shown(REHEARSAL, "TYPE {e}:leases WRONGTYPE it is a string");
        assert!(known.contains("the key {e}:leases holds"), "{known}");
        let error = Refusal::of_answer("WRONGTYPE", "Operation against a key");
        assert!(error.is_vague());
    }

    #[test]
    fn what_is_shown_repeats_nothing_but_names() {
        let forged = "this user has no permissions to run the 'x\u{1b}[31m y' command";
        assert!(Refusal::of_answer("NOPERM", forged).is_vague());
        for code in ["ERR", "SOMETHING", "MISCONF", ""] {
            assert!(!shown(code, "s3cret").contains("s3cret"));
        }
    }

    #[test]
    fn failures_of_the_connection_are_told_apart() {
        let io = |kind| Refusal::of_driver(&io::Error::from(kind).into()).shown();
        assert!(io(io::ErrorKind::ConnectionRefused).contains("nothing listens"));
        assert!(io(io::ErrorKind::TimedOut).contains("in time"));
        assert!(io(io::ErrorKind::ConnectionReset).contains("broke"));
        let lookup = io::Error::other("failed to lookup address information: Name unknown");
        let lookup = Refusal::of_driver(&lookup.into()).shown();
        assert!(lookup.contains("not known"), "{lookup}");
    }
}
