//! Long work, away from the threads that answer requests.

use std::{fmt::Display, num::NonZeroUsize, sync::LazyLock, thread::available_parallelism};

use tokio::sync::Semaphore;

use crate::problem::{Kind, Problem};

/// What is done where it is asked for: about half a millisecond of parsing, or a few if the body is not valid. A body that waits
/// for a place takes memory meanwhile.
const SHORT_BYTES: usize = 512 * 1024;

/// As many long pieces of work at once as there are cores. Others wait; what they hold is counted with bodies in flight.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZeroUsize::get)));

/// Does `work` over so many bytes: at once if it is short, else on another thread as soon as there is a place.
///
/// If the caller stops waiting, the work goes on and keeps its place until it is done.
///
/// # Errors
/// 500 if `work` panics.
pub(super) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= SHORT_BYTES {
        return Ok(work());
    }
    let place = PLACES.acquire().await.map_err(defect)?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.map_err(defect)
}

fn defect(error: impl Display) -> Problem {
    tracing::error!(%error, "a body was not read to its end");
    Problem::new(
        Kind::Internal,
        "the body could not be read, which is a defect of this program; report it",
    )
}

#[cfg(test)]
mod tests {
    use std::thread;

    use actix_web::ResponseError;

    use super::*;

    #[actix_web::test]
    async fn short_work_is_done_here_and_long_work_elsewhere() {
        let here = thread::current().id();
        let id = || thread::current().id();
        assert_eq!(run(SHORT_BYTES, id).await.unwrap(), here);
        assert_ne!(run(SHORT_BYTES + 1, id).await.unwrap(), here);
    }

    #[actix_web::test]
    async fn a_defect_in_long_work_is_a_problem_and_gives_its_place_back() {
        for _ in 0..2 * available_parallelism().unwrap().get() {
            let broken = run(SHORT_BYTES + 1, || {
                assert!(thread::panicking(), "on purpose");
            });
            assert_eq!(broken.await.unwrap_err().status_code(), 500);
        }
        assert!(run(SHORT_BYTES + 1, || ()).await.is_ok());
    }
}
