"""Renders the chart with each file of values in this folder, and checks every object: that Kubernetes accepts it, and that
it fits the other objects and the programs. Each file in the folder invalid must be refused with the text that its first line
expects. scripts/test-helm runs this.
"""

import json
import re
import sys
import traceback
from collections import Counter
from pathlib import Path

import helm_python as helm
import jsonschema
import kubernetes_validate
import yaml

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "event-aggregator"
ROOT = HERE.parents[2]
# The oldest version of Kubernetes that the chart is for, and the newest whose schemas are there.
VERSIONS = ["1.30", kubernetes_validate.latest_version()]

PORTS = {"publisher": 8080, "aggregator": 8081}
ADDRESSES = {
    "publisher": {"REDIS_URL"},
    "aggregator": {"REDIS_URL", "DATABASE_URL", "READ_DATABASE_URL"},
    "migration": {"DATABASE_URL"},
}
# How many objects of which kind each file of values makes, so that every switch is seen to work.
COUNTS = {
    "minimal": dict(ConfigMap=2, Deployment=2, HorizontalPodAutoscaler=1, Job=1, NetworkPolicy=3, PodDisruptionBudget=2,
                    Service=2, ServiceAccount=1),
    "full": dict(ConfigMap=2, Deployment=2, HorizontalPodAutoscaler=1, Job=1, NetworkPolicy=3, PodDisruptionBudget=2,
                 ScaledObject=1, Service=2, ServiceAccount=1, ServiceMonitor=1, TriggerAuthentication=1),
    "closed": dict(ConfigMap=2, Deployment=2, HorizontalPodAutoscaler=1, Job=1, NetworkPolicy=3, PodDisruptionBudget=2,
                   Service=2, ServiceAccount=1),
    "cluster": dict(ConfigMap=2, Deployment=2, NetworkPolicy=2, Service=2, ServiceMonitor=1),
}
# The longest name that Helm accepts.
LONG_NAME = "r" * 53
LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
ADDRESS_WITH_PASSWORD = re.compile(r"[a-z+-]+://[^/\s]*:[^/\s]*@")


class Unique(yaml.SafeLoader):
    """Reads YAML and refuses a key that occurs twice, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        assert not twice, f"{twice} occurs twice"
        return super().construct_mapping(node, deep)


def known_settings():
    """The settings of each program, by docs/SETTINGS.md."""
    known = {}
    text = (ROOT / "docs/SETTINGS.md").read_text()
    for section in text.split("\n## ")[1:]:
        name = re.match(r"`([A-Z_]+)`", section)[1]
        for line in section.splitlines():
            if line.startswith("`"):
                for program in re.findall(r"`([a-z-]+)`", line.split(";")[0]):
                    known.setdefault(program, set()).add(name)
    return known


class Rendered:
    """What the chart makes of a file of values."""

    def __init__(self, chart, values, name):
        chart.validate_schema(values)
        self.values = chart.merge_values(values)
        self.release = name
        files = chart.render(values, name=name, namespace="events", is_install=True)
        self.text = "\n".join(files.values())
        self.notes = next(text for path, text in files.items() if path.endswith("NOTES.txt"))
        self.objects = [
            document
            for path, text in files.items() if path.endswith(".yaml")
            for document in yaml.load_all(text, Loader=Unique) if document
        ]

    def all(self, kind):
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind, component):
        found = [one for one in self.all(kind) if label(one, "component") == component]
        assert len(found) == 1, f"{len(found)} objects of the kind {kind} for {component}"
        return found[0]

    def workloads(self):
        """The Deployments and the Job, by component."""
        return {label(one, "component"): one for one in self.all("Deployment") + self.all("Job")}

    def settings(self, component):
        container = self.workloads()[component]["spec"]["template"]["spec"]["containers"][0]
        found = {}
        for source in container.get("envFrom", []):
            maps = [one["data"] for one in self.all("ConfigMap") if named(one) == source["configMapRef"]["name"]]
            assert len(maps) == 1, f"{component} has settings of a ConfigMap that is not there"
            found |= maps[0]
        for variable in container["env"]:
            assert variable["name"] not in found, f"{component} has {variable['name']} twice"
            found[variable["name"]] = variable.get("value", variable.get("valueFrom"))
        return found


def label(found, name):
    return found["metadata"]["labels"][f"app.kubernetes.io/{name}"]


def named(found):
    return found["metadata"]["name"]


def selected(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def kubernetes_accepts(rendered):
    for found in rendered.objects:
        own = HERE / "schemas" / f"{found['kind']}.json"
        if own.exists():
            jsonschema.validate(found, json.loads(own.read_text()))
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(found, version, strict=True)


def names_are_short_and_unique(rendered):
    twice = [key for key, count in Counter((one["kind"], named(one)) for one in rendered.objects).items() if count > 1]
    assert not twice, f"{twice} are there twice"
    for found in rendered.objects:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", named(found)), named(found)
        for value in found["metadata"]["labels"].values():
            assert len(value) <= 63, f"the label {value} is too long"


def selectors_meet_the_pods_of_one_workload(rendered):
    pods = {name: one["spec"]["template"]["metadata"]["labels"] for name, one in rendered.workloads().items()}
    selectors = []
    for found in rendered.objects:
        spec, component = found.get("spec", {}), label(found, "component")
        if found["kind"] == "Deployment":
            selectors.append((component, spec["selector"]["matchLabels"]))
            for spread in spec["template"]["spec"]["topologySpreadConstraints"]:
                selectors.append((component, spread["labelSelector"]["matchLabels"]))
        elif found["kind"] == "Service":
            selectors.append((component, spec["selector"]))
        elif found["kind"] == "PodDisruptionBudget":
            selectors.append((component, spec["selector"]["matchLabels"]))
        elif found["kind"] == "NetworkPolicy":
            selectors.append((component, spec["podSelector"]["matchLabels"]))
    for component, selector in selectors:
        met = {name for name, labels in pods.items() if selected(selector, labels)}
        assert met == {component}, f"a selector of {component} meets {met}"
    for monitor in rendered.all("ServiceMonitor"):
        met = [one for one in rendered.all("Service") if selected(monitor["spec"]["selector"]["matchLabels"],
                                                                  one["metadata"]["labels"])]
        assert len(met) == 2, "the ServiceMonitor does not meet both services"
        for endpoint in monitor["spec"]["endpoints"]:
            assert all(endpoint["port"] == one["spec"]["ports"][0]["name"] for one in met)
            assert endpoint["path"] == "/metrics"


def ports_are_those_of_the_images(rendered):
    for program, port in PORTS.items():
        container = rendered.one("Deployment", program)["spec"]["template"]["spec"]["containers"][0]
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        for probe, path in [("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", "/ready")]:
            assert container[probe]["httpGet"] == {"path": path, "port": "http"}, probe
        assert rendered.one("Service", program)["spec"]["ports"][0]["targetPort"] == "http"


def programs_know_every_setting(rendered):
    known = known_settings()
    for component in rendered.workloads():
        program = "aggregator" if component == "migration" else component
        unknown = set(rendered.settings(component)) - known[program]
        assert not unknown, f"{program} has no settings {unknown}"


def settings_are_those_of_the_values(rendered):
    values = rendered.values
    for program in PORTS:
        found = rendered.settings(program)
        assert found["QUEUE_NAME"] == values["queue"]["name"]
        assert found["QUEUE_SHARDS"] == str(values["queue"]["shards"])
        assert found["REDIS_WAIT_REPLICAS"] == str(values["redis"]["waitReplicas"])
        for name, value in (values["settings"] | values[program]["settings"]).items():
            assert found[name] == str(value), f"{name} is {found[name]} and not {value}"
        # A program without one of these would listen on its own machine only, and with both it would not start.
        assert ("API_KEYS_FILE" in found) != (found.get("AUTH_DISABLED") == "true")
        assert ("METRICS_PUBLIC" in found) == values["metrics"]["public"]


def secrets_are_never_inline(rendered):
    assert not rendered.all("Secret")
    assert not ADDRESS_WITH_PASSWORD.search(rendered.text), "an address with a password"
    values = rendered.values
    for component in rendered.workloads():
        found = rendered.settings(component)
        addresses = {name for name in found if name.endswith("_URL")}
        assert addresses == ADDRESSES[component], f"{component} has {addresses}"
        secret = values[component]["existingSecret"] or values["existingSecret"]
        for name in addresses:
            expected = {"name": secret, "key": name}
            if name == "READ_DATABASE_URL":
                expected["optional"] = True
            assert found[name] == {"secretKeyRef": expected}, f"{component}: {name} is {found[name]}"


def files_are_mounted(rendered):
    for component, workload in rendered.workloads().items():
        pod = workload["spec"]["template"]["spec"]
        mounts = pod["containers"][0].get("volumeMounts", [])
        assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod.get("volumes", [])}
        assert all(mount["readOnly"] for mount in mounts)
        found = rendered.settings(component)
        for name in {"API_KEYS_FILE", "REDIS_CA_CERT"} & set(found):
            folder = found[name].rpartition("/")[0]
            assert folder in [mount["mountPath"] for mount in mounts], f"{component}: {name} is not mounted"
        if rendered.values["authorities"]["existingConfigMap"]:
            assert "authorities" in [mount["name"] for mount in mounts], f"{component} cannot check PostgreSQL"


def pods_are_locked_down(rendered):
    accounts = {named(one) for one in rendered.all("ServiceAccount")}
    assert all(one["automountServiceAccountToken"] is False for one in rendered.all("ServiceAccount"))
    for component, workload in rendered.workloads().items():
        pod = workload["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == LOCKED
            assert container["resources"]["limits"]["memory"]
        if component == "migration":
            # It runs before the account is there.
            assert "serviceAccountName" not in pod
        elif accounts:
            assert pod["serviceAccountName"] in accounts


def pods_are_killed_only_after_they_had_their_time(rendered):
    for program in PORTS:
        pod = rendered.one("Deployment", program)["spec"]["template"]["spec"]
        pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = int(rendered.settings(program)["SHUTDOWN_GRACE_SECONDS"])
        assert pod["terminationGracePeriodSeconds"] > pause + grace


def images_are_those_of_the_values(rendered):
    values = rendered.values
    for component, workload in rendered.workloads().items():
        image = values["aggregator" if component == "migration" else component]["image"]
        tag = image["tag"] or values["image"]["tag"] or version()
        registry = values["image"]["registry"]
        expected = f"{registry + '/' if registry else ''}{image['repository']}:{tag}"
        pod = workload["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == expected, pod["containers"][0]["image"]
        assert pod.get("imagePullSecrets", []) == values["image"]["pullSecrets"]


def scaling_has_a_target_and_is_alone(rendered):
    scalers = rendered.all("HorizontalPodAutoscaler") + rendered.all("ScaledObject")
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in scalers}
    deployments = {named(one): one["spec"].get("replicas") for one in rendered.all("Deployment")}
    assert scaled <= set(deployments), f"{scaled} are not all there"
    for name, replicas in deployments.items():
        assert (replicas is None) == (name in scaled), f"{name} has {replicas} replicas"
    for found in rendered.all("ScaledObject"):
        service = rendered.one("Service", "aggregator")
        trigger = found["spec"]["triggers"][0]
        asked = trigger["metadata"]
        assert asked["url"] == f"http://{named(service)}.events.svc:{service['spec']['ports'][0]['port']}/stats?topics=none"
        assert asked["valueLocation"] == "queue.pending"
        assert asked["targetValue"] == str(rendered.values["aggregator"]["keda"]["pendingPerPod"])
        reference = trigger.get("authenticationRef", {}).get("name")
        assert [reference] * ("authMode" in asked) == [named(one) for one in rendered.all("TriggerAuthentication")]


def policies_open_the_ports_of_the_values(rendered):
    policy = rendered.values["networkPolicy"]
    redis, postgres = policy["redisPorts"], policy["postgresPorts"]
    expected = {"publisher": redis, "aggregator": redis + postgres, "migration": postgres}
    for found in rendered.all("NetworkPolicy"):
        spec, component = found["spec"], label(found, "component")
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        names, servers = spec["egress"]
        assert {port["port"] for port in names["ports"]} == {53}
        assert [port["port"] for port in servers["ports"]] == expected[component]
        # A rule without peers or ports lets everybody in.
        assert all(rule["from"] and rule["ports"] == [{"port": "http"}] for rule in spec["ingress"])
        if component == "migration":
            assert not spec["ingress"]
            continue
        namespaces = {
            peer["namespaceSelector"].get("matchLabels", {}).get("kubernetes.io/metadata.name")
            for rule in spec["ingress"] for peer in rule["from"] if "namespaceSelector" in peer
        }
        if component == "aggregator" and rendered.all("ScaledObject"):
            assert rendered.values["aggregator"]["keda"]["namespace"] in namespaces, "KEDA is not let in"
        if rendered.all("ServiceMonitor"):
            assert rendered.values["metrics"]["serviceMonitor"]["namespace"] in namespaces, "Prometheus is not let in"


def the_migration_comes_before_everything(rendered):
    for found in rendered.objects:
        hook = found["metadata"].get("annotations", {}).get("helm.sh/hook")
        assert hook == ("pre-install,pre-upgrade" if label(found, "component") == "migration" else None)
    for job in rendered.all("Job"):
        grant = rendered.values["migration"]["grantTo"]
        arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        assert arguments == ["migrate"] + [f"--grant-to={grant}"] * bool(grant)


def notes_name_what_is_there(rendered):
    there = {(one["kind"].lower(), named(one)) for one in rendered.objects}
    mentioned = set(re.findall(r"\b(deployment|service)/([\w-]+)", rendered.notes))
    assert len(mentioned) == 4 and mentioned <= there, f"{mentioned - there} is not there"


CHECKS = [
    kubernetes_accepts,
    names_are_short_and_unique,
    selectors_meet_the_pods_of_one_workload,
    ports_are_those_of_the_images,
    programs_know_every_setting,
    settings_are_those_of_the_values,
    secrets_are_never_inline,
    files_are_mounted,
    pods_are_locked_down,
    pods_are_killed_only_after_they_had_their_time,
    images_are_those_of_the_values,
    scaling_has_a_target_and_is_alone,
    policies_open_the_ports_of_the_values,
    the_migration_comes_before_everything,
    notes_name_what_is_there,
]


def version():
    return re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]


def faults_of_the_chart(chart):
    for member in ["version", "appVersion"]:
        if chart.metadata[member] != version():
            yield f"Chart.yaml: {member} is {chart.metadata[member]}, and the workspace has {version()}"


def faults_of_valid(chart, path):
    values = helm.values_from_yaml(path.read_text())
    report = helm.lint(CHART, values, strict=True)
    # Messages of severity 1 are advice.
    for message in report["messages"]:
        if message["severity"] > 1:
            yield f"lint: {message['path']}: {message['error']}"
    for error in report["errors"]:
        yield f"lint: {error}"
    for name in ["demo", LONG_NAME]:
        rendered = Rendered(chart, values, name)
        kinds = Counter(found["kind"] for found in rendered.objects)
        if kinds != COUNTS[path.stem]:
            yield f"it makes {dict(sorted(kinds.items()))}"
        for check in CHECKS:
            try:
                check(rendered)
            except (AssertionError, LookupError) as fault:
                line = traceback.extract_tb(fault.__traceback__)[-1].line
                yield f"{check.__name__}: {fault}: {line}"
            except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as fault:
                yield f"{check.__name__}: at /{'/'.join(map(str, fault.path))}: {fault.message}"


def faults_of_invalid(chart, path):
    text = path.read_text()
    expected = text.splitlines()[0].removeprefix("# expected: ")
    try:
        Rendered(chart, helm.values_from_yaml(text), "demo")
    except (helm.HelmValuesError, helm.HelmRenderError) as refusal:
        if expected not in str(refusal):
            yield f"expected: {expected}\ngot: {refusal}"
    else:
        yield f"it is not refused; expected: {expected}"


def main():
    passed, failed = 0, 0
    with helm.Chart.load(CHART) as chart:
        valid, invalid = sorted(HERE.glob("*.yaml")), sorted(HERE.glob("invalid/*.yaml"))
        tests = [(CHART, faults_of_the_chart(chart))]
        tests += [(path, faults_of_valid(chart, path)) for path in valid]
        tests += [(path, faults_of_invalid(chart, path)) for path in invalid]
        assert {path.stem for path in valid} == set(COUNTS) and invalid, "files of values are missing"
        for path, faults in tests:
            faults = list(faults)
            for fault in faults:
                print(f"{path.relative_to(ROOT)}: {fault}", file=sys.stderr)
            failed, passed = failed + bool(faults), passed + (not faults)
    print(f"Helm {helm.helm_sdk_version()}, Kubernetes {' and '.join(VERSIONS)}: {passed} files passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
