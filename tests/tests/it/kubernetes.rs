//! The manifests in `deploy/kubernetes` and what they must agree with.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::{
    deployment::{documents, files},
    programs::settings,
};

const FOLDER: &str = "deploy/kubernetes";
/// Those that run the workspace's programs.
const SERVICES: [&str; 2] = ["publisher", "aggregator"];
const NAME: &str = "app.kubernetes.io/name";

fn kustomization() -> Value {
    documents(format!("{FOLDER}/kustomization.yaml")).remove(0)
}

/// The files that the kustomization lists.
fn listed() -> BTreeSet<String> {
    serde_json::from_value(kustomization()["resources"].clone()).expect("names of files")
}

/// Every object in them.
fn objects() -> Vec<Value> {
    let files = listed().into_iter();
    files
        .flat_map(|file| documents(format!("{FOLDER}/{file}")))
        .collect()
}

fn object(kind: &str, name: &str) -> Value {
    let mut objects = objects().into_iter();
    let found = objects.find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn pod(service: &str) -> Value {
    object("Deployment", service)["spec"]["template"].clone()
}

fn container(service: &str) -> Value {
    pod(service)["spec"]["containers"][0].clone()
}

fn common_settings() -> Value {
    object("ConfigMap", "event-aggregator")["data"].clone()
}

#[test]
fn the_kustomization_lists_every_file() {
    let mut there = files(FOLDER);
    there.retain(|file| {
        file.strip_suffix(".yaml")
            .is_some_and(|name| name != "kustomization")
    });
    assert_eq!(listed(), there);
}

#[test]
fn every_selector_meets_the_pods_and_every_target_exists() {
    for service in SERVICES {
        let labels = json!({ (NAME): service });
        assert_eq!(pod(service)["metadata"]["labels"], labels);
        let deployment = object("Deployment", service);
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], labels);
        let spread = &pod(service)["spec"]["topologySpreadConstraints"][0];
        assert_eq!(spread["labelSelector"]["matchLabels"], labels);
        assert_eq!(object("Service", service)["spec"]["selector"], labels);
        let budget = object("PodDisruptionBudget", service);
        assert_eq!(budget["spec"]["selector"]["matchLabels"], labels);
        let policy = object("NetworkPolicy", service);
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"], labels);
        let target = &object("HorizontalPodAutoscaler", service)["spec"]["scaleTargetRef"];
        assert_eq!(
            (&target["kind"], &target["name"]),
            (&json!("Deployment"), &json!(service))
        );
    }
}

#[test]
fn ports_and_probes_are_those_of_the_images() {
    for (service, port) in [("publisher", 8080), ("aggregator", 8081)] {
        let container = container(service);
        assert_eq!(
            container["ports"],
            json!([{"name": "http", "containerPort": port}])
        );
        for (probe, path) in [
            ("startupProbe", "/health"),
            ("livenessProbe", "/health"),
            ("readinessProbe", "/ready"),
        ] {
            let asked = json!({"path": path, "port": "http"});
            assert_eq!(container[probe]["httpGet"], asked, "{service} {probe}");
        }
        assert_eq!(
            object("Service", service)["spec"]["ports"][0]["targetPort"],
            "http"
        );
        let policy = object("NetworkPolicy", service);
        assert_eq!(
            policy["spec"]["ingress"][0]["ports"],
            json!([{"port": "http"}])
        );
    }
}

#[test]
fn the_programs_know_every_setting() {
    for service in SERVICES {
        let container = container(service);
        let own = container["env"].as_array().unwrap();
        let own = own
            .iter()
            .map(|setting| setting["name"].as_str().unwrap().to_owned());
        let common = common_settings().as_object().unwrap().clone();
        assert_eq!(
            container["envFrom"],
            json!([{"configMapRef": {"name": "event-aggregator"}}])
        );
        let known = settings(service);
        for name in common.into_iter().map(|(name, _)| name).chain(own) {
            assert!(known.contains(&name), "{service} has no setting {name}");
        }
    }
}

#[test]
fn addresses_with_passwords_come_from_the_secret() {
    for service in SERVICES {
        for setting in container(service)["env"].as_array().unwrap() {
            let from = &setting["valueFrom"]["secretKeyRef"];
            assert_eq!(
                from,
                &json!({"name": "event-aggregator", "key": setting["name"]})
            );
        }
    }
}

#[test]
fn a_pod_is_killed_only_after_it_had_its_time() {
    let grace = common_settings()["SHUTDOWN_GRACE_SECONDS"]
        .as_str()
        .unwrap()
        .to_owned();
    let grace: u64 = grace.parse().unwrap();
    for service in SERVICES {
        let pause = container(service)["lifecycle"]["preStop"]["sleep"]["seconds"]
            .as_u64()
            .unwrap();
        let killed_after = pod(service)["spec"]["terminationGracePeriodSeconds"]
            .as_u64()
            .unwrap();
        assert!(killed_after > pause + grace, "{service}");
    }
}

#[test]
fn pods_are_locked_down() {
    for service in SERVICES {
        let (pod, container) = (pod(service), container(service));
        let security = &pod["spec"]["securityContext"];
        assert_eq!(security["runAsNonRoot"], true);
        assert!(security["runAsUser"].as_u64() > Some(0));
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        let expected = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], expected);
        assert!(container["resources"]["limits"]["memory"].is_string());
    }
}

#[test]
fn images_are_those_of_compose() {
    let compose = documents("docker-compose.yml").remove(0);
    let tags = kustomization()["images"].clone();
    for service in SERVICES {
        let image = container(service)["image"].as_str().unwrap().to_owned();
        let in_compose = compose["services"][service]["image"].as_str().unwrap();
        assert_eq!(in_compose.split(':').next(), Some(image.as_str()));
        let tag = tags
            .as_array()
            .unwrap()
            .iter()
            .find(|tag| tag["name"] == image.as_str());
        assert_eq!(tag.unwrap()["newTag"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn the_ports_of_the_network_policies_are_set_in_one_place() {
    let patches = kustomization()["patches"].as_array().unwrap().clone();
    assert!(!patches.is_empty());
    for patch in patches {
        let target = &patch["target"];
        let policies: Vec<Value> = objects()
            .into_iter()
            .filter(|object| object["kind"] == target["kind"])
            .filter(|object| {
                target["name"].is_null() || object["metadata"]["name"] == target["name"]
            })
            .collect();
        assert!(!policies.is_empty(), "{target}");
        let operations: Value = serde_saphyr::from_str(patch["patch"].as_str().unwrap()).unwrap();
        for operation in operations.as_array().unwrap() {
            let path = operation["path"].as_str().unwrap();
            for policy in &policies {
                // As it is checked in, a patch changes nothing.
                assert_eq!(policy.pointer(path), Some(&operation["value"]), "{path}");
            }
        }
    }
}

#[test]
fn authorities_of_ones_own_can_be_mounted_and_need_not_be() {
    for service in SERVICES {
        let volume = &pod(service)["spec"]["volumes"][0];
        assert_eq!(
            volume["configMap"],
            json!({"name": "event-aggregator-ca", "optional": true})
        );
        let mount = &container(service)["volumeMounts"][0];
        assert_eq!(mount["name"], volume["name"]);
        assert_eq!(mount["readOnly"], true);
        assert!(settings(service).contains("REDIS_CA_CERT"));
    }
}
