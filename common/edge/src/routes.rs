//! What a program serves: one list of routes, from which its server and its description are made, so
//! that neither can have what the other has not.

use std::sync::Arc;

use actix_web::{
    FromRequest, Handler, Responder,
    dev::HttpServiceFactory,
    guard,
    http::Method,
    middleware::from_fn,
    web::{self, Data, ServiceConfig},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        path::{HttpMethod, Paths},
    },
};

use crate::{
    admission::access::{self, Access},
    description::openapi::{Group, operation::complete},
    problem::Problem,
};

/// Adds something to a server.
type Add = dyn Fn(&mut ServiceConfig) + Send + Sync;

/// Routes with their descriptions, and what their handlers need.
#[derive(Clone)]
pub struct Routes {
    group: Group,
    added: Vec<Arc<Add>>,
    pub(crate) paths: Paths,
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
}

impl Routes {
    /// None yet; those that are added belong to this group.
    #[must_use]
    pub fn of(group: Group) -> Self {
        Self {
            group,
            added: Vec::new(),
            paths: Paths::default(),
            schemas: Vec::new(),
        }
    }

    /// Adds a route. `described` is what `#[utoipa::path]` made of the handler's description: path
    /// and method are taken from it, and what `access` asks for is added to it.
    ///
    /// A path that answers `GET` answers `HEAD`, too. A path has one method.
    #[must_use]
    pub fn route<P, F, Args>(mut self, _described: P, access: Access, handler: F) -> Self
    where
        P: utoipa::Path,
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let path = P::path();
        let allowed: Vec<&str> = P::methods().iter().map(allowed).collect();
        let allowed: Arc<str> = allowed.join(", ").into();
        let operation = complete(P::operation(), self.group, access);
        self.paths
            .add_path_operation(&path, P::methods(), operation);
        self.added.push(Arc::new(move |config| {
            config.service(resource(&path, access, &allowed, handler.clone()));
        }));
        self
    }

    /// Adds a schema that descriptions refer to, and those that it refers to.
    #[must_use]
    pub fn schema<T: ToSchema + PartialSchema>(mut self) -> Self {
        self.schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(&mut self.schemas);
        self
    }

    /// Adds what handlers take as [`Data`].
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        let state = Data::new(state);
        self.added.push(Arc::new(move |config| {
            config.app_data(state.clone());
        }));
        self
    }

    /// Adds all of others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.added.extend(others.added);
        self.paths.merge(others.paths);
        self.schemas.extend(others.schemas);
        self
    }

    /// Hands them to a server.
    pub(crate) fn configure(&self, config: &mut ServiceConfig) {
        for add in &self.added {
            add(config);
        }
    }
}

/// The methods that a path answers if this one is described, as `Allow` says them.
const fn allowed(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET, HEAD",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
        HttpMethod::Options => "OPTIONS",
        HttpMethod::Head => "HEAD",
        HttpMethod::Patch => "PATCH",
        HttpMethod::Trace => "TRACE",
    }
}

fn resource<F, Args>(
    path: &str,
    access: Access,
    allowed: &Arc<str>,
    handler: F,
) -> impl HttpServiceFactory + 'static
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let answered = allowed.clone();
    let answers = guard::fn_guard(move |context| {
        let method = context.head().method.as_str();
        answered.split(", ").any(|answered| answered == method)
    });
    let allowed = allowed.clone();
    let refuse = move |method: Method| {
        let problem = Problem::method_not_allowed(&method, &allowed);
        async { Err::<&str, _>(problem) }
    };
    web::resource(path)
        .route(web::route().guard(answers).to(handler))
        .default_service(web::to(refuse))
        .wrap(from_fn(move |request, next| {
            access::admit(access, request, next)
        }))
}
