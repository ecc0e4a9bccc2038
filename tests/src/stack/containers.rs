//! What containers may do, and how they ended.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Every container runs without root, capabilities and a root file system it can write to, has limits, and is
/// reached from outside by loopback at most.
pub(super) fn check_hardening(containers: &[Value]) -> Result<()> {
    for container in containers {
        let (host, user) = (&container["HostConfig"], &container["Config"]["User"]);
        let ports = &container["NetworkSettings"]["Ports"];
        let mut bindings = ports
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, bound)| bound.as_array())
            .flatten();
        let holds = [
            (
                "another user than root",
                !matches!(user.as_str(), None | Some("" | "0" | "root")),
            ),
            ("a read-only root", host["ReadonlyRootfs"] == true),
            (
                "no capabilities",
                host["CapDrop"] == json!(["ALL"]) && host["CapAdd"].is_null(),
            ),
            (
                "no new privileges",
                host["SecurityOpt"] == json!(["no-new-privileges:true"]),
            ),
            ("a limit of memory", host["Memory"].as_i64() > Some(0)),
            ("a limit of processes", host["PidsLimit"].as_i64() > Some(0)),
            (
                "a restart policy",
                // The latter for what runs once.
                ["unless-stopped", "on-failure"]
                    .map(Value::from)
                    .contains(&host["RestartPolicy"]["Name"]),
            ),
            (
                "bounded logs",
                host["LogConfig"]["Config"]["max-size"].is_string(),
            ),
            (
                "loopback ports only",
                bindings.all(|bound| bound["HostIp"] == "127.0.0.1"),
            ),
        ];
        for (what, holds) in holds {
            ensure!(
                holds,
                "{} should have {what}: {host}, user {user}, {ports}",
                service(container)?
            );
        }
    }
    Ok(())
}

/// The exit code of each service; of several containers, the largest.
pub fn exit_codes(containers: &[Value]) -> Result<BTreeMap<String, i64>> {
    let mut codes = BTreeMap::new();
    for container in containers {
        let state = &container["State"];
        ensure!(
            state["Status"] == "exited",
            "{} has not ended: {state}",
            service(container)?
        );
        let code = state["ExitCode"].as_i64().context("an exit code")?;
        let largest = codes.entry(service(container)?.to_owned()).or_insert(code);
        *largest = code.max(*largest);
    }
    Ok(codes)
}

fn service(container: &Value) -> Result<&str> {
    container["Config"]["Labels"]["com.docker.compose.service"]
        .as_str()
        .context("a container of another project")
}
