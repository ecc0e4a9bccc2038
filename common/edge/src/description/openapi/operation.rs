//! What all operations with the same access have in common.

use utoipa::openapi::{path::Operation, security::SecurityRequirement};

use super::{
    Group,
    answers::{self, problems},
};
use crate::{admission::access::Access, auth::Scope, problem::Kind};

/// `Authorization: Bearer KEY`, see `components/securitySchemes`.
pub(super) const BEARER: &str = "bearer";
/// `X-API-Key: KEY`.
pub(super) const API_KEY: &str = "api_key";

/// Adds to an operation what all with this access have in common.
pub(crate) fn complete(mut operation: Operation, group: Group, access: Access) -> Operation {
    let unless = match access {
        Access::Metrics => ", unless `METRICS_PUBLIC` is set",
        Access::Open | Access::Needs(_) => "",
    };
    let requirements = match access {
        Access::Open => Vec::new(),
        Access::Needs(_) | Access::Metrics => {
            let scope = match access {
                Access::Needs(scope) => scope,
                Access::Open | Access::Metrics => Scope::Read,
            };
            let keyed = problems(&[
                Kind::Unauthorized,
                Kind::CertificateRequired,
                Kind::Forbidden,
                Kind::RateLimited,
            ]);
            operation.responses.responses.extend(keyed);
            answers::add_rate(&mut operation.responses);
            let needs = format!("Needs a key with the scope `{scope}`{unless}.");
            operation.description = match operation.description.filter(|text| !text.is_empty()) {
                Some(text) => Some(format!("{text}\n\n{needs}")),
                None => Some(needs),
            };
            let scheme = |name| SecurityRequirement::new(name, [scope.to_string()]);
            vec![scheme(BEARER), scheme(API_KEY)]
        }
    };
    operation.security = Some(requirements);
    operation.tags = Some(vec![group.name().to_owned()]);
    answers::add_request_id(&mut operation.responses);
    operation
}
