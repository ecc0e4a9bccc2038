//! The rates of keys over HTTP: 429 where one is used up, and what is left of each in two headers
//! ([draft-ietf-httpapi-ratelimit-headers-10](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10)).
//!
//! A request that is answered with 503 costs nothing, because the server was at fault.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue},
    },
};

use crate::{
    auth::{
        Caller, Metered,
        rate::{Meter, Rate, Spent, WINDOW},
    },
    problem::{Kind, Problem},
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What one request spent, or could not: at most one entry for each [`Metered`].
#[derive(Default)]
struct Balance(Vec<Entry>);

struct Entry {
    of: Metered,
    rate: Rate,
    /// What is given back if the answer is 503.
    taken: u32,
    /// What was found last.
    spent: Spent,
}

impl Caller {
    /// Whether the caller may publish any event now.
    ///
    /// # Errors
    /// 429 if they may not.
    pub(crate) fn check_events(&self, request: &HttpRequest) -> Result<(), Problem> {
        meet(self, request, Metered::Events, |meter| (meter.check(1), 0))
    }

    /// Takes the events of a batch from the caller's rate, or else what reading them has cost.
    ///
    /// # Errors
    /// 429 if the rate does not allow them now, 413 if it never allows so many at once.
    pub(crate) fn spend_events(
        &self,
        request: &HttpRequest,
        count: usize,
        instead: usize,
    ) -> Result<(), Problem> {
        let (count, instead) = (amount(count), amount(instead));
        meet(self, request, Metered::Events, |meter| {
            (meter.spend(count, instead), count)
        })
    }

    /// Takes events that are not accepted from the caller's rate, even if that leaves a debt.
    pub(crate) fn owe_events(&self, request: &HttpRequest, count: usize) {
        let owed = meet(self, request, Metered::Events, |meter| {
            (meter.owe(amount(count)), 0)
        });
        debug_assert!(owed.is_ok(), "owing is always possible");
    }

    /// Takes this request from the caller's rate.
    ///
    /// # Errors
    /// 429 if the rate does not allow it now.
    pub(crate) fn spend_request(&self, request: &impl HttpMessage) -> Result<(), Problem> {
        meet(self, request, Metered::Requests, |meter| {
            (meter.spend(1, 0), 1)
        })
    }
}

fn amount(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Does something to a meter of the caller's, if there is one, and notes what is left and what was taken.
fn meet(
    caller: &Caller,
    request: &impl HttpMessage,
    of: Metered,
    act: impl FnOnce(&Meter) -> (Spent, u32),
) -> Result<(), Problem> {
    let Some(meter) = caller.meter(of) else {
        return Ok(());
    };
    let (spent, amount) = act(meter);
    let taken = if matches!(spent, Spent::Left(_)) {
        amount
    } else {
        0
    };
    let mut extensions = request.extensions_mut();
    if !extensions.contains::<Balance>() {
        extensions.insert(Balance::default());
    }
    if let Some(balance) = extensions.get_mut::<Balance>() {
        balance.note(of, meter.rate(), taken, spent);
    }
    let per_second = meter.rate().per_second();
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

/// Gives back what a request spent that is answered with 503, and says in the answer what is left. Does nothing where
/// the caller has no rate.
pub(crate) fn conclude<B>(response: &mut ServiceResponse<B>) {
    let refused = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let request = response.request();
    let caller = request.extensions().get::<Caller>().cloned();
    let Some((policy, limit)) = request
        .extensions_mut()
        .get_mut::<Balance>()
        .map(|balance| {
            if let Some(caller) = caller.filter(|_| refused) {
                balance.refund(&caller);
            }
            balance.headers()
        })
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
    fn note(&mut self, of: Metered, rate: Rate, taken: u32, spent: Spent) {
        let found = self.0.iter_mut().find(|entry| entry.of == of);
        match found {
            Some(entry) => {
                entry.taken = entry.taken.saturating_add(taken);
                entry.spent = spent;
            }
            None => self.0.push(Entry {
                of,
                rate,
                taken,
                spent,
            }),
        }
    }

    fn refund(&mut self, caller: &Caller) {
        for entry in &mut self.0 {
            let taken = std::mem::take(&mut entry.taken);
            if let Some(meter) = caller.meter(entry.of).filter(|_| taken > 0) {
                entry.spent = meter.refund(taken);
            }
        }
    }

    /// Lists of structured fields ([RFC 9651](https://www.rfc-editor.org/rfc/rfc9651)).
    fn headers(&self) -> (String, String) {
        let policy = self
            .0
            .iter()
            .map(|Entry { of, rate, .. }| format!("\"{of}\";q={};w={WINDOW}", rate.burst()));
        let limit = self
            .0
            .iter()
            .filter_map(|Entry { of, spent, .. }| match spent {
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

/// Rounded up, so that a client that comes back then is let in.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_what_is_left_and_when_more_is() {
        let rate = |rate: u32| Rate::try_from(rate).unwrap();
        let mut balance = Balance::default();
        balance.note(Metered::Requests, rate(5), 1, Spent::Left(49));
        balance.note(Metered::Events, rate(100), 0, Spent::Left(1));
        let wait = Duration::from_millis(2001);
        balance.note(Metered::Events, rate(100), 0, Spent::Wait(wait));
        assert_eq!(
            balance.headers(),
            (
                "\"requests\";q=50;w=10, \"events\";q=1000;w=10".to_owned(),
                "\"requests\";r=49, \"events\";r=0;t=3".to_owned()
            )
        );
    }
}
