//! `GET /stats/history`.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use chrono::{DateTime, TimeDelta, Utc};
use edge::{
    parameters::{optional, query},
    problem::Problem,
};
use event::EventTime;
use serde::{Deserialize, Serialize};
use store::{
    Sample, Span,
    history::{EVERY, MAX_SAMPLES},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    lists::ListProblems,
    moments::{self, Step, time},
};
use crate::api::Api;

/// How far back the samples go if nothing else is asked for.
const DEFAULT_SPAN: TimeDelta = TimeDelta::hours(1);
/// Unless a step is asked for, there are at most so many samples.
const DEFAULT_SAMPLES: i64 = 500;
/// The steps among which the default is, in seconds.
const DEFAULT_STEPS: [u32; 7] = [10, 60, 300, 1800, 3600, 21_600, 86_400];

/// Each is parsed by name, by the rules of its schema.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Only samples from this moment on
    #[param(value_type = EventTime, required = false)]
    since: Option<String>,
    /// Only samples before this moment; the default is now
    #[param(value_type = EventTime, required = false)]
    until: Option<String>,
    /// Without `since`: only samples of so much time before `until`; the default is `1h`
    #[param(value_type = moments::Span, required = false)]
    last: Option<String>,
    /// One sample of so many seconds, or of more, so that there are at most 2000; the default is the smallest of 10, 60, 300, 1800, 3600, 21600 and 86400 that makes at
    /// most 500 samples
    #[param(value_type = Step, required = false)]
    step: Option<String>,
}

/// The counters as they were.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    /// Oldest first.
    #[schema(max_items = 2000)]
    samples: Vec<Sample>,
    /// How many there are.
    count: usize,
    /// How far apart they are, where none is missing.
    #[schema(minimum = 10)]
    step_seconds: u32,
}

/// The counters as they were
///
/// A sample is taken every 10 seconds while an aggregator runs; after 48 hours one of 5 minutes is kept, and after 90 days
/// none. Each is a snapshot that adds up. The difference of two says exactly what was counted in between. Of each step the
/// first sample is shown.
#[utoipa::path(get, path = "/stats/history", operation_id = "stats_history", params(Parameters),
    responses((status = 200, description = "The samples", body = History), ListProblems))]
pub(super) async fn history(request: HttpRequest, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let span = parse(query(&request)?, api.clock.now())?;
    let samples = api.store.history(&span).await?;
    Ok(HttpResponse::Ok().json(History {
        count: samples.len(),
        samples,
        step_seconds: span.step_seconds,
    }))
}

fn parse(parameters: Parameters, now: DateTime<Utc>) -> Result<Span, Problem> {
    let moment = |text: String| time(&text).map(EventTime::as_datetime);
    let until = optional("until", parameters.until, moment)?.unwrap_or(now);
    let since = optional("since", parameters.since, moment)?;
    let last = optional("last", parameters.last, |text: String| {
        moments::Span::parse(&text)
    })?;
    let last = last.map_or(DEFAULT_SPAN, |last| TimeDelta::seconds(last.0.into()));
    let since = since.unwrap_or_else(|| until.checked_sub_signed(last).unwrap_or(until));
    let seconds = (until - since).num_seconds().max(0);
    let step = optional("step", parameters.step, |text: String| Step::parse(&text))?;
    let step = step.map_or_else(|| default_step(seconds), |step| step.0);
    Ok(Span {
        since,
        until,
        step_seconds: step.max(smallest_step(seconds)),
    })
}

/// The smallest step with which the samples of so many seconds can be answered.
fn smallest_step(seconds: i64) -> u32 {
    let every = i64::try_from(EVERY.as_secs()).unwrap_or(i64::MAX);
    let smallest = (seconds / (i64::from(MAX_SAMPLES) * every) + 1) * every;
    u32::try_from(smallest).unwrap_or(u32::MAX)
}

/// The step for a span of so many seconds.
fn default_step(seconds: i64) -> u32 {
    let fits = |step: &&u32| seconds / i64::from(**step) <= DEFAULT_SAMPLES;
    let last = DEFAULT_STEPS[DEFAULT_STEPS.len() - 1];
    DEFAULT_STEPS.iter().find(fits).copied().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(last: &str, step: Option<&str>) -> Result<u32, String> {
        let parameters = Parameters {
            since: None,
            until: None,
            last: Some(last.to_owned()),
            step: step.map(str::to_owned),
        };
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let span = parse(parameters, now).map_err(|problem| problem.to_string())?;
        assert_eq!(span.until, now);
        Ok(span.step_seconds)
    }

    #[test]
    fn a_longer_time_has_larger_steps() {
        let steps = ["5m", "1h", "24h", "7d", "90d"].map(|last| asked(last, None).unwrap());
        assert_eq!(steps, [10, 10, 300, 1800, 21_600]);
        assert_eq!(asked("5m", Some("20")), Ok(20));
        assert_eq!(asked("1h", Some("5m")), Ok(300));
    }

    #[test]
    fn a_step_that_is_too_small_is_widened() {
        assert_eq!(asked("5h", Some("10")), Ok(10));
        assert_eq!(asked("7d", Some("10s")), Ok(310));
        assert_eq!(asked("7d", Some("310")), Ok(310));
        assert_eq!(asked("7d", Some("1h")), Ok(3600));
    }
}
