//! `docker-compose.yml` and what it must agree with. That the stack works is `scripts/test-stack`'s to show.

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use tests::{
    deployment::{documents, settings},
    servers::{POSTGRES_IMAGE, REDIS_IMAGE},
};

const SERVICES: [&str; 2] = ["publisher", "aggregator"];

fn compose() -> Value {
    documents("docker-compose.yml").remove(0)
}

/// The names in `${NAME:-default}`.
fn variables(text: &str) -> BTreeSet<&str> {
    let names = text.split("${").skip(1);
    names
        .filter_map(|rest| rest.split([':', '}']).next())
        .collect()
}

#[test]
fn the_programs_know_every_setting() {
    for service in SERVICES {
        let known = settings(service);
        let environment = &compose()["services"][service]["environment"];
        for name in environment.as_object().unwrap().keys() {
            assert!(known.contains(name), "{service} has no setting {name}");
        }
    }
}

#[test]
fn the_servers_are_those_that_the_tests_run_on() {
    let compose = compose();
    assert_eq!(compose["services"]["redis"]["image"], REDIS_IMAGE);
    assert_eq!(compose["services"]["postgres"]["image"], POSTGRES_IMAGE);
}

#[test]
fn a_service_may_take_longer_to_stop_than_it_does() {
    for service in SERVICES {
        let service = &compose()["services"][service];
        let seconds = |text: &Value| {
            text.as_str()
                .unwrap()
                .trim_end_matches('s')
                .parse::<u32>()
                .unwrap()
        };
        let grace = seconds(&service["environment"]["SHUTDOWN_GRACE_SECONDS"]);
        assert!(seconds(&service["stop_grace_period"]) > grace);
    }
}

#[test]
fn the_demo_ends_by_itself() {
    let simulator = &compose()["services"]["simulator"];
    let arguments: Vec<String> = serde_json::from_value(simulator["command"].clone()).unwrap();
    assert!(
        arguments
            .iter()
            .any(|argument| argument.starts_with("--duration=")),
        "{arguments:?}"
    );
    assert_eq!(simulator["restart"], "no");
}

#[test]
fn every_variable_has_a_default_and_is_in_the_example() {
    let file = fs::read_to_string("../docker-compose.yml").unwrap();
    let example = fs::read_to_string("../.env.example").unwrap();
    for name in variables(&file) {
        assert!(
            file.contains(&format!("${{{name}:-")),
            "{name} has no default"
        );
        let explained = example
            .lines()
            .any(|line| line.starts_with(&format!("{name}=")));
        assert!(explained, ".env.example does not name {name}");
    }
    for line in example
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, default) = line.split_once('=').unwrap();
        assert!(
            file.contains(&format!("${{{name}:-{default}}}")),
            "{line} is no default"
        );
    }
}
