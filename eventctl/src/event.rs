//! `eventctl event`: shows one event.

use event_aggregator_client::{Client, Error as CallError};

use crate::{
    cli::EventArgs,
    error::Error,
    exit_code::Outcome,
    format::{compact, plain},
    output,
};

/// Shows one event, with its payload as it was sent.
///
/// # Errors
/// If the server is away or refuses the request.
pub(crate) async fn run(client: &Client, args: &EventArgs, json: bool) -> Result<Outcome, Error> {
    let event = match client.event(&args.topic, &args.event_id).await {
        Ok(event) => event,
        Err(CallError::Refused(problem))
            if problem.status == 404 && problem.detail.starts_with("no event") =>
        {
            let (topic, id) = (plain(&args.topic), plain(&args.event_id));
            output::tell(format!(
                "no event {id} is stored in the topic {topic}; list its events with: eventctl events --topic {topic}"
            ));
            return Ok(Outcome::Unwell);
        }
        Err(error) => return Err(error.into()),
    };
    if json {
        output::line(compact(event.text()))?;
        return Ok(Outcome::Well);
    }
    for (name, value) in [
        ("topic", plain(&event.topic)),
        ("event_id", plain(&event.event_id)),
        ("timestamp", plain(&event.timestamp)),
        ("source", plain(&event.source)),
        ("received_at", plain(&event.received_at)),
        ("processed_at", plain(&event.processed_at)),
        ("id", event.id.to_string()),
        ("payload", plain(&compact(event.payload.get()))),
    ] {
        output::line(format!("{name:<12} {value}"))?;
    }
    Ok(Outcome::Well)
}
