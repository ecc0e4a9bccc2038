//! The rates of keys over HTTP: 429 where one is used up, and what is left of each in two headers
//! ([draft-ietf-httpapi-ratelimit-headers-10](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10)).

use std::{num::NonZeroU32, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceResponse,
    http::header::{HeaderName, HeaderValue},
};

use super::problem::{Kind, Problem};
use crate::auth::{
    Caller, Metered,
    rate::{Rate, Spent, WINDOW},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What one request spent, or could not: at most one of each [`Metered`].
#[derive(Default)]
struct Balance(Vec<(Metered, Rate, Spent)>);

impl Caller {
    /// Takes the events of a batch from the caller's rate.
    ///
    /// # Errors
    /// 429 if the rate does not allow them now, 413 if it never allows so many at once.
    pub fn spend_events(&self, request: &HttpRequest, count: usize) -> Result<(), Problem> {
        spend(self, request, Metered::Events, count)
    }

    /// Takes this request from the caller's rate.
    ///
    /// # Errors
    /// 429 if the rate does not allow it now.
    pub(super) fn spend_request(&self, request: &impl HttpMessage) -> Result<(), Problem> {
        spend(self, request, Metered::Requests, 1)
    }
}

fn spend(
    caller: &Caller,
    request: &impl HttpMessage,
    of: Metered,
    amount: usize,
) -> Result<(), Problem> {
    let amount = NonZeroU32::new(u32::try_from(amount).unwrap_or(u32::MAX));
    let Some((rate, amount)) = caller.rate(of).zip(amount) else {
        return Ok(());
    };
    let Some(spent) = caller.spend(of, amount) else {
        return Ok(());
    };
    let mut extensions = request.extensions_mut();
    if !extensions.contains::<Balance>() {
        extensions.insert(Balance::default());
    }
    if let Some(balance) = extensions.get_mut::<Balance>() {
        balance.0.push((of, rate, spent));
    }
    let per_second = rate.per_second();
    match spent {
        Spent::Left(_) => Ok(()),
        Spent::Wait(wait) => {
            let detail = format!(
                "this key may use {per_second} {of} a second; send fewer, or ask for a higher rate"
            );
            Err(Problem::rate_limited(detail, whole_seconds(wait)))
        }
        Spent::TooMuch(most) => {
            let detail = format!(
                "this key may use {per_second} {of} a second and {most} at once; send smaller batches"
            );
            Err(Problem::new(Kind::TooLarge, detail))
        }
    }
}

/// Says in the answer what is left. Nothing, where the caller has no rate.
pub(super) fn tell<B>(response: &mut ServiceResponse<B>) {
    let Some((policy, limit)) = response
        .request()
        .extensions()
        .get::<Balance>()
        .map(Balance::headers)
    else {
        return;
    };
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
        if let Ok(value) = HeaderValue::from_str(&text)
            && !text.is_empty()
        {
            response.headers_mut().insert(name, value);
        }
    }
}

impl Balance {
    /// Lists of structured fields ([RFC 9651](https://www.rfc-editor.org/rfc/rfc9651)).
    fn headers(&self) -> (String, String) {
        let policy = self
            .0
            .iter()
            .map(|(of, rate, _)| format!("\"{of}\";q={};w={WINDOW}", rate.burst()));
        let limit = self.0.iter().filter_map(|(of, _, spent)| match spent {
            Spent::Left(left) => Some(format!("\"{of}\";r={left}")),
            Spent::Wait(wait) => Some(format!("\"{of}\";r=0;t={}", whole_seconds(*wait))),
            Spent::TooMuch(_) => None,
        });
        (
            policy.collect::<Vec<_>>().join(", "),
            limit.collect::<Vec<_>>().join(", "),
        )
    }
}

/// Rounded up: who comes back then is let in.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_what_is_left_and_when_more_is() {
        let rate = |rate: u32| Rate::try_from(rate).unwrap();
        let balance = Balance(vec![
            (Metered::Requests, rate(5), Spent::Left(49)),
            (
                Metered::Events,
                rate(100),
                Spent::Wait(Duration::from_millis(2001)),
            ),
        ]);
        assert_eq!(
            balance.headers(),
            (
                "\"requests\";q=50;w=10, \"events\";q=1000;w=10".to_owned(),
                "\"requests\";r=49, \"events\";r=0;t=3".to_owned()
            )
        );
    }
}
