//! `verify`, again and again while things break: the counters and the rows of every snapshot agree.

use std::time::Duration;

use store::{Store, postgres::Postgres};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long one may take. The database may be away.
const WITHIN: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// How often everything agreed.
    pub(crate) times: usize,
    /// The first time that something did not.
    pub(crate) drift: Option<String>,
}

/// Looks until it is told to stop, or has found a disagreement.
pub(crate) async fn all_along(database_url: String, stop: CancellationToken) -> Verified {
    let mut verified = Verified::default();
    let Ok(store) = Postgres::from_url(&database_url, 1) else {
        return verified;
    };
    while !stop.is_cancelled() && verified.drift.is_none() {
        // Nothing is learnt from a database that is away.
        if let Ok(Ok(audit)) = timeout(WITHIN, store.audit()).await {
            if audit.is_exact() {
                verified.times += 1;
            } else {
                verified.drift = Some(format!("verify found a drift meanwhile:\n{audit}"));
            }
        }
        sleep(LOOK_EVERY).await;
    }
    store.close().await;
    verified
}

/// Looks once, when everything has ended.
pub(crate) async fn at_last(database_url: &str) -> anyhow::Result<Option<String>> {
    let store = Postgres::from_url(database_url, 1)?;
    let audit = store.audit().await?;
    store.close().await;
    Ok((!audit.is_exact()).then(|| format!("verify finds a drift at last:\n{audit}")))
}
