//! Who may call what. Every path says what it needs where it is added ([`routes`](crate::routes)). This is checked before
//! anything of the body is read.

use std::future::{Ready, ready};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, ResponseError,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::header::{AUTHORIZATION, HeaderMap},
    middleware::Next,
    web::Data,
};
use event::Event;

use crate::{
    admission::{
        csrf,
        in_flight::{self, InFlight},
        rate,
    },
    auth::{Caller, Gate, Scope},
    connection::client_certificate,
    problem::{Kind, Problem},
};

/// Another place for the key than `Authorization: Bearer`.
const X_API_KEY: &str = "x-api-key";

/// What a path asks of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// A client certificate and a key with this scope, where they are asked for.
    Needs(Scope),
    /// The scope `read`, unless `METRICS_PUBLIC` says that metrics are for everybody.
    Metrics,
}

/// Whether metrics are for everybody.
#[derive(Clone, Copy)]
pub(crate) struct MetricsArePublic(pub(crate) bool);

impl Access {
    /// The scope that a key must have; `None`: no key is needed.
    fn scope(self, request: &ServiceRequest) -> Option<Scope> {
        let is_public = || matches!(request.app_data(), Some(MetricsArePublic(true)));
        match self {
            Self::Open => None,
            Self::Needs(scope) => Some(scope),
            Self::Metrics if is_public() => None,
            Self::Metrics => Some(Scope::Read),
        }
    }
}

/// Lets a request through, and tells its handler who the caller is.
pub(crate) async fn admit(
    access: Access,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(scope) = access.scope(&request) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let mut response = match enter(&request, scope) {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        // An answer, not an error: it passes through what every answer passes through.
        Err(problem) => {
            let answer = request.into_response(problem.error_response());
            answer.map_into_right_body()
        }
    };
    rate::conclude(&mut response);
    Ok(response)
}

/// A place for a request whose caller may make it now, until it is answered.
fn enter(request: &ServiceRequest, scope: Scope) -> Result<(), Problem> {
    let caller = caller(request, scope)?;
    caller.spend_request(request)?;
    request.extensions_mut().insert(caller);
    if let Some(load) = request.app_data::<Data<InFlight>>() {
        in_flight::keep(request.request(), load.enter()?);
    }
    Ok(())
}

fn caller(request: &ServiceRequest, scope: Scope) -> Result<Caller, Problem> {
    client_certificate::check(request.request())?;
    let gate = request.app_data::<Data<Gate>>();
    let caller = gate
        .and_then(|gate| gate.admit(sent_key(request.headers())))
        .ok_or_else(Problem::unauthorized)?;
    if matches!(caller, Caller::Anyone) {
        csrf::check_origin(request)?;
        if let Some(gate) = gate {
            csrf::check_host(request, gate)?;
        }
    }
    if caller.has(scope) {
        Ok(caller)
    } else {
        let detail = format!("this key does not have the scope {scope}");
        Err(Problem::new(Kind::Forbidden, detail))
    }
}

/// `Authorization: Bearer KEY` ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)), or
/// `X-API-Key: KEY`.
fn sent_key(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| key.trim());
    }
    headers.get(X_API_KEY)?.to_str().ok()
}

impl Caller {
    /// All topics of a batch must be the caller's.
    ///
    /// # Errors
    /// 403 that names the first one that is not.
    pub fn check_topics(&self, events: &[Event]) -> Result<(), Problem> {
        let strange = events
            .iter()
            .find(|event| !self.may_use(event.topic.as_str()));
        match strange {
            None => Ok(()),
            Some(event) => Err(self.wrong_topic(event.topic.as_str())),
        }
    }

    /// This topic must be the caller's.
    ///
    /// # Errors
    /// 403 that names it.
    pub fn check_topic(&self, topic: &str) -> Result<(), Problem> {
        if self.may_use(topic) {
            Ok(())
        } else {
            Err(self.wrong_topic(topic))
        }
    }

    /// A call that concerns all topics is only for callers that may use all topics.
    ///
    /// # Errors
    /// 403 that says what would be possible.
    pub fn check_all_topics(&self) -> Result<(), Problem> {
        if self.prefixes().is_none() {
            return Ok(());
        }
        let detail = format!("this key is for {} only", self.allowed());
        Err(Problem::new(Kind::Forbidden, detail))
    }

    fn wrong_topic(&self, topic: &str) -> Problem {
        let detail = format!("this key is for {}, not for {topic:?}", self.allowed());
        Problem::new(Kind::Forbidden, detail)
    }

    fn allowed(&self) -> String {
        let prefixes = self.prefixes().unwrap_or_default().iter();
        let prefixes: Vec<String> = prefixes
            .map(|topic| format!("{:?}", topic.as_str()))
            .collect();
        format!("topics that begin with {}", prefixes.join(" or "))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| {
            Problem::new(
                Kind::Internal,
                "a path that asks for no key wants to know its caller",
            )
        }))
    }
}
