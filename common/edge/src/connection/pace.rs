//! How slow a client may be, in sending a body as in taking an answer: in every window of time it must move so many bytes.
//! Time cannot be saved up: a fast start does not allow a slow end.

use std::time::Duration;

use tokio::time::Instant;

/// How long a window is; also how long a client may do nothing.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// How many bytes a client must move in a second, on average over each window.
pub(crate) const BYTES_A_SECOND: u64 = 4096;
/// How many bytes it must move in a window.
const BYTES_A_WINDOW: u64 = BYTES_A_SECOND * WINDOW.as_secs();

/// The pace of one client, from when it has something to move.
pub(crate) struct Pace {
    deadline: Instant,
    moved: u64,
}

impl Pace {
    /// A first window begins.
    pub(crate) fn start() -> Self {
        Self {
            deadline: Instant::now() + WINDOW,
            moved: 0,
        }
    }

    /// When this window ends.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// This many bytes have moved.
    pub(crate) const fn add(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    /// The window has ended. `false`: too little has moved in it. Else the next one begins.
    pub(crate) fn goes_on(&mut self) -> bool {
        let enough = self.moved >= BYTES_A_WINDOW;
        self.moved = 0;
        self.deadline += WINDOW;
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_window_asks_for_its_own_bytes() {
        let enough = usize::try_from(BYTES_A_WINDOW).unwrap();
        let mut pace = Pace::start();
        let first = pace.deadline();
        pace.add(100 * enough);
        assert!(pace.goes_on());
        assert_eq!(pace.deadline(), first + WINDOW);
        pace.add(enough - 1);
        assert!(!pace.goes_on(), "what came before does not count");
    }
}
