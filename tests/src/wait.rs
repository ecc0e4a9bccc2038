//! Waiting for what is bound to happen, with a limit.

use std::time::Duration;

/// How long anything may take that is bound to happen, on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
/// Pause between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What a look found: `false` or `None` means not yet.
pub trait Outcome {
    /// What there is once it has happened.
    type Value;

    /// The value, if it has happened.
    fn value(self) -> Option<Self::Value>;
}

impl Outcome for bool {
    type Value = ();

    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn value(self) -> Self {
        self
    }
}

/// Looks again and again until `look` returns `true` or `Some`.
///
/// # Panics
/// With `what`, if that has not happened within this time; also when a single look takes longer.
pub async fn eventually<T: Outcome>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> T,
) -> T::Value {
    let happened = async {
        loop {
            if let Some(value) = look().await.value() {
                return value;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let outcome = tokio::time::timeout(within, happened).await;
    outcome.unwrap_or_else(|_| panic!("not within {within:?}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_is_returned_once_it_is_there() {
        let mut looks = 0;
        let value = eventually("the third look", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some("seen")
        })
        .await;
        assert_eq!((value, looks), ("seen", 3));
    }

    #[tokio::test]
    #[should_panic(expected = "pigs fly")]
    async fn what_never_happens_is_named() {
        eventually("pigs fly", Duration::from_millis(50), async || false).await;
    }

    #[tokio::test]
    #[should_panic(expected = "an endless look")]
    async fn a_single_look_is_bounded_too() {
        let look = async || std::future::pending::<bool>().await;
        eventually("an endless look", Duration::from_millis(50), look).await;
    }
}
