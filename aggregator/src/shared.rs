//! One look at something for everybody who asks at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// How many looks there are in a second, for as long as somebody asks.
const A_SECOND: u32 = 5;
/// How many looks somebody who has not asked for a while gets without waiting.
const AT_ONCE: u32 = 20;
const APART: Duration = Duration::from_millis(1000 / A_SECOND as u64);

/// What is seen by everybody who asks at the same time. Nobody gets what was seen before they asked: a caller waits for the
/// first look that begins after their question, and those who wait for the same look share it.
///
/// However many ask, there are [`A_SECOND`] looks a second, and at most [`AT_ONCE`] more in a row. A caller waits for at
/// most one look that is under way, for [`APART`], and for the look itself.
pub(crate) struct Shared<T> {
    /// How many looks have begun.
    begun: AtomicU64,
    /// Whoever holds it looks; those who wait for it get what comes of that.
    seen: Mutex<Seen<T>>,
}

struct Seen<T> {
    /// The last look, by its number.
    last: Option<(u64, Arc<T>)>,
    /// When the next look would be due if there was never a pause
    /// ([the virtual scheduling algorithm](https://www.itu.int/rec/T-REC-I.371)).
    due: Instant,
}

impl<T> Shared<T> {
    pub(crate) fn new() -> Self {
        let seen = Seen {
            last: None,
            due: Instant::now(),
        };
        Self {
            begun: AtomicU64::new(0),
            seen: Mutex::new(seen),
        }
    }

    /// What a look sees that begins now or later. `look` is called if nobody else does it.
    pub(crate) async fn see(&self, look: impl Future<Output = T>) -> Arc<T> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut seen = self.seen.lock().await;
        if let Some((number, last)) = &seen.last
            && *number > before
        {
            return last.clone();
        }
        seen.pace().await;
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let looked = Arc::new(look.await);
        seen.last = Some((number, looked.clone()));
        looked
    }
}

impl<T> Seen<T> {
    /// Waits until the next look may begin.
    async fn pace(&mut self) {
        let now = Instant::now();
        let early = APART * AT_ONCE;
        self.due = self.due.max(now);
        if self.due > now + early {
            sleep_until(self.due - early).await;
        }
        self.due += APART;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::{sync::Notify, task::JoinSet, time::sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_before_a_look_begins_share_it_and_nobody_gets_an_older_one() {
        let shared = Arc::new(Shared::new());
        let (looks, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (shared, looks, ended) = (shared.clone(), looks.clone(), ended.clone());
            async move {
                let look = async {
                    let number = looks.fetch_add(1, Ordering::SeqCst) + 1;
                    ended.notified().await;
                    number
                };
                *shared.see(look).await
            }
        };
        let first = tokio::spawn(ask());
        // The first look is under way.
        sleep(Duration::from_millis(1)).await;
        let others: JoinSet<usize> = (0..100).map(|_| ask()).collect();
        sleep(Duration::from_millis(1)).await;
        ended.notify_one();
        assert_eq!(first.await.unwrap(), 1);
        sleep(Duration::from_millis(1)).await;
        ended.notify_one();
        assert_eq!(others.join_all().await, [2; 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_is_given_up_is_taken_again_by_those_who_wait() {
        let shared = Arc::new(Shared::new());
        let gone = tokio::spawn({
            let shared = shared.clone();
            async move { *shared.see(std::future::pending::<u8>()).await }
        });
        sleep(Duration::from_millis(1)).await;
        let waiting = tokio::spawn({
            let shared = shared.clone();
            async move { *shared.see(async { 7 }).await }
        });
        sleep(Duration::from_millis(1)).await;
        gone.abort();
        assert_eq!(waiting.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_few_however_many_ask_and_whoever_asks_seldom_never_waits() {
        let shared = Shared::new();
        let looks = AtomicUsize::new(0);
        let look = || async { looks.fetch_add(1, Ordering::SeqCst) };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            shared.see(look()).await;
        }
        let most = A_SECOND * 20 + AT_ONCE + 1;
        let taken = looks.load(Ordering::SeqCst);
        assert!(taken <= most as usize, "{taken}");
        sleep(Duration::from_secs(10)).await;
        for _ in 0..AT_ONCE {
            let asked = Instant::now();
            shared.see(look()).await;
            assert_eq!(asked.elapsed(), Duration::ZERO);
        }
    }
}
