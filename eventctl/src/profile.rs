//! `eventctl profile`: adds, lists and removes servers with names.

use event_aggregator_client::SecretString;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    cli::{ProfileCommand, ServerArgs},
    error::Error,
    exit_code::Outcome,
    output,
    profiles::{Profile, Profiles},
    table::{Left, table},
};

/// Does one of the things that can be done with profiles.
///
/// # Errors
/// If the file of profiles cannot be read or written.
pub(crate) fn run(
    command: &ProfileCommand,
    server: ServerArgs,
    json: bool,
) -> Result<Outcome, Error> {
    let mut profiles = Profiles::read()?;
    match command {
        ProfileCommand::Add { name } => {
            let profile = given(server)?;
            profiles.set(name, profile);
            let path = profiles.write()?;
            output::line(format!(
                "{name} is in {}; use it with --profile {name} or EVENTCTL_PROFILE={name}",
                path.display()
            ))?;
        }
        ProfileCommand::List => list(&profiles, json)?,
        ProfileCommand::Remove { name } => {
            profiles.get(name)?;
            profiles.remove(name);
            profiles.write()?;
            output::line(format!("{name} is removed"))?;
        }
    }
    Ok(Outcome::Well)
}

/// What the options of the command line say.
fn given(server: ServerArgs) -> Result<Profile, Error> {
    if server.url.is_none() {
        let reason = "a profile needs an address; give --url URL";
        return Err(Error::Usage(reason.to_owned()));
    }
    let key = |key: SecretString| key.expose_secret().to_owned();
    Ok(Profile {
        url: server.url.map(String::from),
        read_url: server.read_url.map(String::from),
        key: server.key.map(key),
        ca_cert: server.ca_cert,
    })
}

/// Keys are not shown.
fn list(profiles: &Profiles, json: bool) -> Result<(), Error> {
    let all = profiles.iter().map(|(name, profile)| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let key = if profile.key.is_some() {
            "with a key"
        } else {
            ""
        };
        [
            name.clone(),
            text(&profile.url),
            text(&profile.read_url),
            key.to_owned(),
        ]
    });
    if json {
        for [name, url, read_url, key] in all {
            let has_key = !key.is_empty();
            output::json(
                &json!({"name": name, "url": url, "read_url": read_url, "has_key": has_key}),
            )?;
        }
    } else if profiles.iter().next().is_none() {
        output::line("no profiles; add one with: eventctl profile add NAME --url URL")?;
    } else {
        output::lines(&table([Left; 4], all))?;
    }
    Ok(())
}
