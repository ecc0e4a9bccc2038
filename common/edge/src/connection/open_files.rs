//! How many files this process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections: to databases, logs, what libraries open.
const OTHERS: u64 = 256;

/// Allows for so many connections, as far as the system lets this process. Many systems start programs with a
/// low limit that programs may raise themselves.
pub(crate) fn allow(connections: u32) {
    let needed = u64::from(connections) + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No limit is `None`.
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let possible = maximum.map_or(needed, |maximum| maximum.min(needed));
    let wanted = Rlimit {
        current: Some(possible),
        maximum,
    };
    if setrlimit(Resource::Nofile, wanted).is_err() || possible < needed {
        tracing::warn!(
            "MAX_CONNECTIONS is {connections}, but this process may open only {possible} files; raise the limit \
             (ulimit -n, LimitNOFILE), or lower MAX_CONNECTIONS"
        );
    }
}
