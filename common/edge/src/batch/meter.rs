//! How many events are accepted and refused, and how long a push takes.

use std::time::Instant;

use actix_web::{HttpRequest, web::Data};
use metrics::{Counters, Histogram, Labels, Metrics};
use queue::PushError;

use crate::problem::{Kind, Problem};

/// The refusals that are told before there is any.
const FROM_THE_START: [Kind; 5] = [
    Kind::InvalidEvent,
    Kind::QueueFull,
    Kind::Overloaded,
    Kind::Unavailable,
    Kind::ShuttingDown,
];

/// Counts events and times pushes. It does nothing until it is part of a server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Option<Instruments>);

#[derive(Debug, Clone)]
struct Instruments {
    accepted: Counters<1>,
    refused: Counters<1>,
    push: Histogram,
}

impl Meter {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        let refused = metrics.counters(
            "events_refused",
            "Events that were refused, by the name of the problem; a batch that cannot be read counts as one",
        );
        for kind in FROM_THE_START {
            // What is 0 is told, too, so that the first refusal is a change.
            drop(refused.get_or_create(&labels(kind.facts().0)));
        }
        Self(Some(Instruments {
            accepted: metrics.counters("events_accepted", "Events that were accepted, by route"),
            refused,
            push: metrics.durations("push_duration", "How long the queue took to accept a batch"),
        }))
    }

    /// That of the server that got this request.
    pub(crate) fn in_use(request: &HttpRequest) -> Self {
        let meter = request.app_data::<Data<Self>>();
        meter.map_or_else(Self::default, |meter| Self::clone(meter))
    }

    /// Notes that so many events were refused.
    pub(crate) fn refused(&self, reason: &str, events: usize) {
        if let Some(Instruments { refused, .. }) = &self.0
            && events > 0
        {
            let refused = refused.get_or_create(&labels(reason));
            refused.inc_by(events as u64);
        }
    }

    /// Times a push of so many events, and notes what came of it.
    pub(crate) async fn push<T>(
        &self,
        route: &'static str,
        events: usize,
        push: impl Future<Output = Result<T, PushError>>,
    ) -> Result<T, PushError> {
        let begun = Instant::now();
        let pushed = push.await;
        match (&self.0, &pushed) {
            (Some(instruments), Ok(_)) => {
                instruments.push.observe(begun.elapsed().as_secs_f64());
                let labels = [("http_route", route.to_owned())];
                let accepted = instruments.accepted.get_or_create(&labels);
                accepted.inc_by(events as u64);
            }
            (_, Err(error)) => self.refused(Problem::slug_of(error), events),
            (None, _) => {}
        }
        pushed
    }
}

fn labels(reason: &str) -> Labels<1> {
    [("reason", reason.to_owned())]
}
