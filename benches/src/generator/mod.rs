//! Makes load over HTTP/1.1 with little effort: the bytes are prepared, and a request takes one write and one read.
//!
//! - `request`: the prepared bytes, into which new ids are written each time
//! - `connection`: a connection that is kept, and the parts of an answer that matter

mod connection;
mod request;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tokio::{sync::Semaphore, task::JoinSet};

pub(crate) use self::{
    connection::{Connection, get},
    request::Template,
};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// With how many digits latencies are kept.
const DIGITS: u8 = 3;
/// The longest latency that is kept. It is that of an answer after a wait.
const LONGEST_MICROS: u64 = 600_000_000;
/// The shortest sleep before the schedule is looked at again.
const SHORTEST_NAP: Duration = Duration::from_micros(100);

/// The load on a server.
pub(crate) struct Load<'a> {
    pub(crate) server: SocketAddr,
    pub(crate) template: &'a Template,
    /// The status that every answer must have.
    pub(crate) expected: u16,
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
}

/// When requests are sent, and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each request follows the answer to the one before, for this time.
    SaturateFor(Duration),
    /// The same, for this many requests.
    SaturateWith(u64),
    /// Requests are sent at fixed moments, whether or not the server keeps up.
    Schedule {
        /// Requests per second.
        rate: f64,
        /// For this time.
        lasting: Duration,
    },
}

/// The result of a load.
pub(crate) struct Served {
    /// How many requests there were. All had the expected answer.
    pub(crate) requests: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// The time to the answer, in microseconds. It begins when the request is sent or, with a schedule, when it should be sent. So
    /// the latency of a request that waits for a slow server includes the wait.
    pub(crate) latency: Histogram<u64>,
}

impl Served {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        crate::stats::float(self.requests) / self.elapsed.as_secs_f64()
    }

    /// A quantile of the latency, in milliseconds.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        millis(&self.latency, quantile)
    }
}

/// A quantile of microseconds, in milliseconds.
pub(crate) fn millis(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    crate::stats::float(histogram.value_at_quantile(quantile)) / 1000.0
}

/// An empty histogram of microseconds. It has a fixed bound, because a histogram without one grows only for some of its methods,
/// and for the others a value above the bound becomes a small one.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS).expect("bounds and digits are allowed")
}

/// Records the time since then. A time beyond the bound fails the measurement.
pub(crate) fn record(histogram: &mut Histogram<u64>, since: Instant) -> Result<()> {
    let micros = u64::try_from(since.elapsed().as_micros())?;
    histogram
        .record(micros)
        .with_context(|| format!("a latency of {micros} µs cannot be kept"))
}

/// When requests begin. All connections share it.
struct Schedule {
    started: Instant,
    /// How many requests were given out.
    taken: AtomicU64,
    /// How many requests there are at most.
    most: u64,
    deadline: Option<Instant>,
    /// The time between two requests, and the permits with which they begin; `None` if there are no fixed moments.
    moments: Option<(Duration, Semaphore)>,
}

impl Schedule {
    fn new(pace: Pace) -> Self {
        let started = Instant::now();
        let (most, deadline, moments) = match pace {
            Pace::SaturateFor(lasting) => (u64::MAX, Some(started + lasting), None),
            Pace::SaturateWith(requests) => (requests, None, None),
            Pace::Schedule { rate, lasting } => {
                let gap = Duration::from_secs_f64(1.0 / rate);
                let most = lasting.as_nanos() / gap.as_nanos().max(1);
                let most = u64::try_from(most).unwrap_or(u64::MAX).max(1);
                (most, None, Some((gap, Semaphore::new(0))))
            }
        };
        Self {
            started,
            taken: AtomicU64::new(0),
            most,
            deadline,
            moments,
        }
    }

    /// Waits until the next request is due. Returns the moment when it is due, or `None` if no request is left.
    async fn next(&self) -> Option<Instant> {
        if self.deadline.is_some_and(|at| Instant::now() >= at) {
            return None;
        }
        match &self.moments {
            None => (self.take() < self.most).then(Instant::now),
            Some((gap, due)) => {
                due.acquire().await.ok()?.forget();
                Some(self.started + gap.mul_f64(crate::stats::float(self.take())))
            }
        }
    }

    fn take(&self) -> u64 {
        self.taken.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets requests begin when they are due. This runs on a thread of its own, because the timer of the runtime counts whole
    /// milliseconds.
    fn release(&self) {
        let Some((gap, due)) = &self.moments else {
            return;
        };
        let mut released = 0;
        while released < self.most && !due.is_closed() {
            let passed = self.started.elapsed();
            let by_now = passed.as_nanos() / gap.as_nanos() + 1;
            let by_now = u64::try_from(by_now).unwrap_or(u64::MAX).min(self.most);
            due.add_permits(usize::try_from(by_now - released).unwrap_or(usize::MAX));
            released = by_now;
            let next = gap.mul_f64(crate::stats::float(released));
            thread::sleep(
                next.saturating_sub(self.started.elapsed())
                    .max(SHORTEST_NAP),
            );
        }
        // Once all permits are taken, the connections that wait for one learn that there are no more.
        while due.available_permits() > 0 && !due.is_closed() {
            thread::sleep(SHORTEST_NAP);
        }
        self.close();
    }

    /// Says that no more requests are due.
    fn close(&self) {
        if let Some((_, due)) = &self.moments {
            due.close();
        }
    }
}

/// Sends the load.
///
/// # Errors
/// If a connection breaks, or if an answer is not the expected one. The figures would mean nothing then.
pub(crate) async fn send(load: &Load<'_>) -> Result<Served> {
    let mut connections = Vec::with_capacity(load.connections);
    for _ in 0..load.connections {
        connections.push(Connection::open(load.server).await?);
    }
    let schedule = Arc::new(Schedule::new(load.pace));
    let releasing = thread::spawn({
        let schedule = schedule.clone();
        move || schedule.release()
    });
    let mut running = JoinSet::new();
    for connection in connections {
        let (schedule, template) = (schedule.clone(), load.template.clone());
        running.spawn(serve_one(connection, schedule, template, load.expected));
    }
    let latency = merged(&mut running).await;
    let elapsed = schedule.started.elapsed();
    // This is needed after an error, when requests are still due.
    schedule.close();
    ensure!(
        releasing.join().is_ok(),
        "the thread of the schedule panicked"
    );
    let latency = latency?;
    Ok(Served {
        requests: latency.len(),
        elapsed,
        latency,
    })
}

async fn merged(running: &mut JoinSet<Result<Histogram<u64>>>) -> Result<Histogram<u64>> {
    let mut latency = histogram();
    while let Some(ended) = running.join_next().await {
        latency
            .add(ended??)
            .context("the histograms differ in their resolution")?;
    }
    Ok(latency)
}

async fn serve_one(
    mut connection: Connection,
    schedule: Arc<Schedule>,
    mut template: Template,
    expected: u16,
) -> Result<Histogram<u64>> {
    let mut latency = histogram();
    while let Some(due) = schedule.next().await {
        let request = template.next();
        let answering = connection.exchange(request);
        let status = tokio::time::timeout(ANSWER_WITHIN, answering).await;
        let status =
            status.with_context(|| format!("there was no answer within {ANSWER_WITHIN:?}"))??;
        ensure!(
            status == expected,
            "the server answered {status} instead of {expected}: {}",
            String::from_utf8_lossy(connection.body())
        );
        record(&mut latency, due)?;
    }
    Ok(latency)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;

    /// A server that takes this time for each answer, and that reports the bytes of each request.
    async fn server(takes: Duration) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        tokio::time::sleep(takes).await;
                        let _ = tell.send(buffer[..length].to_vec());
                        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        (address, told)
    }

    #[tokio::test]
    async fn the_given_number_of_requests_is_sent_and_no_two_are_alike() {
        let (server, mut told) = server(Duration::ZERO).await;
        let template = Template::events("/publish", 2, 200);
        let load = Load {
            server,
            template: &template,
            expected: 202,
            connections: 4,
            pace: Pace::SaturateWith(50),
        };
        let served = send(&load);
        assert_eq!(served.await.unwrap().requests, 50);
        let mut seen = HashSet::new();
        while let Ok(request) = told.try_recv() {
            assert!(seen.insert(request));
        }
        assert_eq!(seen.len(), 50);
    }

    /// There is one connection, a request is due every 5 ms, and an answer takes 20 ms.
    #[tokio::test]
    async fn the_latency_of_a_request_includes_its_wait_for_a_slow_server() {
        let (server, _told) = server(Duration::from_millis(20)).await;
        let template = Template::events("/publish", 1, 200);
        let load = Load {
            server,
            template: &template,
            expected: 202,
            connections: 1,
            pace: Pace::Schedule {
                rate: 200.0,
                lasting: Duration::from_millis(200),
            },
        };
        let served = send(&load);
        let served = served.await.unwrap();
        assert_eq!(served.requests, 40);
        // The last was due after 195 ms and is answered after 40 times 20.
        assert!(served.latency_ms(1.0) >= 600.0);
    }

    #[test]
    fn latencies_of_every_length_are_kept_unchanged() {
        let mut all = histogram();
        for millis in [0, 1, 5, 100, 30_000] {
            let now = Instant::now();
            record(
                &mut all,
                now.checked_sub(Duration::from_millis(millis)).unwrap(),
            )
            .unwrap();
        }
        assert!(
            (5.0..50.0).contains(&millis(&all, 0.5)),
            "{}",
            millis(&all, 0.5)
        );
        assert!(millis(&all, 1.0) >= 29_900.0, "{}", millis(&all, 1.0));
        let hour = Instant::now().checked_sub(Duration::from_hours(1));
        assert!(record(&mut all, hour.unwrap()).is_err());
    }

    #[tokio::test]
    async fn an_unexpected_answer_fails_the_measurement() {
        let (server, _told) = server(Duration::ZERO).await;
        let template = Template::events("/publish", 1, 200);
        let load = Load {
            server,
            template: &template,
            expected: 200,
            connections: 1,
            pace: Pace::SaturateWith(1),
        };
        let served = send(&load);
        let error = served.await.err().unwrap();
        assert!(error.to_string().contains("202"), "{error}");
    }
}
