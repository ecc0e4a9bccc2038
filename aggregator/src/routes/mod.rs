//! The aggregator's HTTP routes.

mod dead_letters;
mod events;
mod history;
mod ingest;
mod lists;
mod moments;
mod page;
mod stats;
mod topics;

use edge::{access::Access, auth::Scope, batch, openapi::Group, routes::Routes};

use store::{Order, TopicCursor, TopicOrder};

use self::{
    dead_letters::{DeadLetterPage, Replayed, Selected},
    events::EventPage,
    history::History,
    ingest::Ingested,
    moments::{Span, Step},
    stats::{Counters, Topics},
    topics::TopicPage,
};

const PUBLISH: Access = Access::Needs(Scope::Publish);
const READ: Access = Access::Needs(Scope::Read);
const ADMIN: Access = Access::Needs(Scope::Admin);

/// The paths. They need what an [`Aggregator`](crate::Aggregator) gives them when it runs.
#[must_use]
pub fn routes() -> Routes {
    use dead_letters::{__path_discard, __path_list as __path_letters, __path_replay};
    use events::{__path_list, __path_one};
    use history::__path_history;
    use ingest::__path_ingest;
    use page::__path_file as __path_page_file;
    use stats::__path_stats;
    use topics::__path_list as __path_topics;

    let events_in = Routes::of(Group::EventsIn).route(__path_ingest, PUBLISH, ingest::ingest);
    let events_out = Routes::of(Group::EventsOut)
        .route(__path_stats, READ, stats::stats)
        .route(__path_history, READ, history::history)
        .route(__path_topics, READ, topics::list)
        .route(__path_list, READ, events::list)
        .route(__path_one, READ, events::one);
    let dead_letters = Routes::of(Group::DeadLetters)
        .route(__path_letters, READ, dead_letters::list)
        .route(__path_replay, ADMIN, dead_letters::replay)
        .route(__path_discard, ADMIN, dead_letters::discard);
    let page = Routes::of(Group::Server)
        .route(__path_page_file, Access::Open, page::file)
        .state(page::FRONT);
    batch::described(events_in)
        .and(events_out)
        .and(dead_letters)
        .and(page)
        .schema::<Ingested>()
        .schema::<Counters>()
        .schema::<Topics>()
        .schema::<History>()
        .schema::<Span>()
        .schema::<Step>()
        .schema::<TopicPage>()
        .schema::<TopicOrder>()
        .schema::<TopicCursor>()
        .schema::<Order>()
        .schema::<EventPage>()
        .schema::<DeadLetterPage>()
        .schema::<Selected>()
        .schema::<Replayed>()
}
