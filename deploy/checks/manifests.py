"""The Kubernetes manifests: they render, every object is valid, and the house rules hold."""

import base64
import os
import pathlib
import re
import subprocess

import cluster
import kubernetes_validate
import policies
import yaml
from report import DEPLOY, PARLOR_KEYS, seconds

KUBERNETES = DEPLOY / "kubernetes"
# Made by cert-manager or by hand, never by us.
SECRETS_FROM_OUTSIDE = {"parlor-tls"}
GRACE_BEYOND_DRAIN = 5
# Overlays that are an installation, to be looked at as a whole.
WHOLE = ("overlays/example", "overlays/cluster")
# Files of deploy/nats that NATS pods mount.
NATS_FILES = ("nats.conf", "cluster.conf", "start.sh")


def check(report):
    folders = [KUBERNETES / "base", *sorted(path.parent for path in KUBERNETES.glob("overlays/*/kustomization.yaml"))]
    rendered = {}
    for folder in folders:
        name = str(folder.relative_to(KUBERNETES))
        run = subprocess.run([*os.environ["RENDER"].split(), folder], capture_output=True, text=True)
        if report.expect(f"{name} renders", run.returncode == 0 and run.stdout, run.stderr.strip()):
            rendered[name] = [document for document in yaml.safe_load_all(run.stdout) if document]
            validate(report, name, rendered[name])
            secure(report, name, pods_of(rendered[name]))

    report.none("resources of the base name no namespace", [
        label(d) for d in rendered.get("base", []) if d["metadata"].get("namespace")])
    for name in WHOLE:
        print(f"-- {name}")
        whole = rendered.get(name)
        if not report.expect(f"{name} is there to look at as a whole", whole):
            continue
        references(report, whole)
        life_cycle(report, whole)
        services(report, whole)
        settings(report, whole)
        policies.check(report, whole)
        if name == "overlays/cluster":
            cluster.check_manifests(report, whole)
        else:
            alone(report, whole)


def label(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(documents, *kinds):
    return [document for document in documents if document["kind"] in kinds]


def pods_of(documents):
    """(label, pod template) of everything that runs pods."""
    workloads = of_kind(documents, "Deployment", "StatefulSet", "DaemonSet", "Job")
    return [(label(document), document["spec"]["template"]) for document in workloads]


def containers_of(pods):
    for name, template in pods:
        for container in template["spec"].get("initContainers", []) + template["spec"]["containers"]:
            yield f"{name}/{container['name']}", template["spec"], container


def validate(report, name, documents):
    version = kubernetes_validate.latest_version()
    for document in documents:
        try:
            kubernetes_validate.validate(document, version, strict=True)
            why = ""
        except (
            kubernetes_validate.ValidationError,
            kubernetes_validate.SchemaNotFoundError,
            kubernetes_validate.InvalidSchemaError,
        ) as error:
            why = str(getattr(error, "message", error)) or type(error).__name__
        report.expect(f"{name}: {label(document)} is valid in Kubernetes {version}", not why, why)


def secure(report, name, pods):
    """The restricted pod security level, and what we ask beyond it."""
    report.expect(f"{name} runs pods", len(pods) >= 3, f"found {[pod for pod, _ in pods]}")
    specs = [(pod, template["spec"]) for pod, template in pods]
    report.none(f"{name}: no service links in the environment", [
        pod for pod, spec in specs if spec.get("enableServiceLinks") is not False])
    report.none(f"{name}: no token of Kubernetes in any pod", [
        pod for pod, spec in specs
        if spec.get("automountServiceAccountToken") is not False or not spec.get("serviceAccountName")])
    report.none(f"{name}: nothing of the node is shared", [
        pod for pod, spec in specs
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
        or any("hostPath" in volume for volume in spec.get("volumes", []))])
    report.none(f"{name}: pods run as a user that is not root, under the runtime's seccomp profile", [
        pod for pod, spec in specs
        if spec.get("securityContext", {}).get("runAsNonRoot") is not True
        or not spec["securityContext"].get("runAsUser")
        or spec["securityContext"].get("seccompProfile", {}).get("type") != "RuntimeDefault"])
    wrong = []
    for container, _, spec in containers_of(pods):
        context = spec.get("securityContext", {})
        if not (
            context.get("allowPrivilegeEscalation") is False
            and context.get("readOnlyRootFilesystem") is True
            and context.get("capabilities", {}).get("drop") == ["ALL"]
            and not context.get("privileged")
            and context.get("runAsUser") != 0
        ):
            wrong.append(container)
    report.none(f"{name}: containers have no capability, no escalation and a read-only root", wrong)
    report.none(f"{name}: containers have liveness and readiness probes on ports that they have", [
        container for container, _, spec in containers_of(pods)
        if not all(probe_port_exists(spec, spec.get(probe)) for probe in ("livenessProbe", "readinessProbe"))])
    report.none(f"{name}: containers ask for CPU and memory and have a limit of memory", [
        container for container, _, spec in containers_of(pods)
        if not {"cpu", "memory"} <= spec.get("resources", {}).get("requests", {}).keys()
        or "memory" not in spec["resources"].get("limits", {})])
    report.none(f"{name}: images have a tag that stays what it is", [
        f"{container} {spec['image']}" for container, _, spec in containers_of(pods)
        if ":" not in spec["image"] or spec["image"].endswith(":latest")])


def probe_port_exists(container, probe):
    ports = container.get("ports", [])
    wanted = (probe or {}).get("httpGet", {}).get("port")
    return any(wanted in (port.get("name"), port["containerPort"]) for port in ports)


def references(report, documents):
    """What pods and the ingress name exists, and mounted files are where settings say they are."""
    named = {(kind, d["metadata"]["name"]): d for d in documents for kind in [d["kind"]]}
    wanted = []
    for name, template in pods_of(documents):
        spec = template["spec"]
        wanted.append((name, "ServiceAccount", spec.get("serviceAccountName")))
        for volume in spec.get("volumes", []):
            sources = volume.get("projected", {}).get("sources", [volume])
            for source in sources:
                if "configMap" in source:
                    wanted.append((name, "ConfigMap", source["configMap"]["name"]))
                if "secret" in source:
                    secret = source["secret"]
                    wanted.append((name, "Secret", secret.get("secretName", secret.get("name"))))
    for name, _, container in containers_of(pods_of(documents)):
        for source in container.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    wanted.append((name, kind, source[key]["name"]))
        for variable in container.get("env", []):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in variable.get("valueFrom", {}):
                    wanted.append((name, kind, variable["valueFrom"][key]["name"]))
    for ingress in of_kind(documents, "Ingress"):
        for tls in ingress["spec"].get("tls", []):
            if tls["secretName"] not in SECRETS_FROM_OUTSIDE:
                wanted.append((label(ingress), "Secret", tls["secretName"]))
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                wanted.append((label(ingress), "Service", path["backend"]["service"]["name"]))
    report.none("whatever is referred to exists", [
        f"{who} wants {kind}/{name}" for who, kind, name in wanted if (kind, name) not in named])

    for name, spec, container in containers_of(pods_of(documents)):
        files = mounted_files(named, spec, container)
        variables = environment(named, container)
        report.none(f"{name}: files that settings name are mounted", [
            f"{key}={value}, mounted: {sorted(files)}" for key, value in variables.items()
            if key in ("PARLOR_NATS_CREDS", "PARLOR_ADMIN_TOKEN_FILE") and value not in files])
        for script in [argument for argument in container.get("command", []) if argument.endswith(".sh")]:
            report.expect(f"{name}: {script} is mounted", script in files, f"mounted: {sorted(files)}")
        users = ["gateway", "room-service", *(["route"] if "CLUSTER_PEERS" in variables else [])]
        for user, key in ((user, f"{user}.creds") for user in users):
            if "CREDS_DIR" in variables:
                path = f"{variables['CREDS_DIR']}/{key}"
                report.expect(
                    f"{name}: {path} is a secret of user {user}",
                    files.get(path, b"").startswith(user.encode() + b":"), f"mounted: {sorted(files)}")

    config = next((d for d in of_kind(documents, "ConfigMap") if "nats.conf" in d["data"]), None)
    for file in NATS_FILES:
        report.expect(
            f"NATS pods mount the very {file} that the tests start",
            config and config["data"].get(file, "").encode() == (DEPLOY / "nats" / file).read_bytes(),
            "the ConfigMap differs from deploy/nats/" + file)


def mounted_files(named, spec, container):
    """Path and content of every file of a ConfigMap or Secret that the container sees."""
    files = {}
    for mount in container.get("volumeMounts", []):
        volume = next((v for v in spec.get("volumes", []) if v["name"] == mount["name"]), {})
        for source in volume.get("projected", {}).get("sources", [volume]):
            if "secret" in source:
                name = source["secret"].get("secretName", source["secret"].get("name"))
                data = named.get(("Secret", name), {}).get("data", {})
                content = {key: base64.b64decode(value) for key, value in data.items()}
            elif "configMap" in source:
                data = named.get(("ConfigMap", source["configMap"]["name"]), {}).get("data", {})
                content = {key: value.encode() for key, value in data.items()}
            else:
                continue
            for key, value in content.items():
                files[str(pathlib.PurePosixPath(mount["mountPath"], key))] = value
    return files


def environment(named, container):
    variables = {}
    for source in container.get("envFrom", []):
        variables |= named.get(("ConfigMap", source["configMapRef"]["name"]), {}).get("data", {})
    for variable in container.get("env", []):
        variables[variable["name"]] = variable.get("value", "")
    return variables


def life_cycle(report, documents):
    named = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    for name, spec, container in containers_of(pods_of(documents)):
        variables = environment(named, container)
        if "PARLOR_NATS" not in variables:
            continue
        drain = seconds(variables["PARLOR_DRAIN_DELAY"]) + seconds(variables["PARLOR_DRAIN_DEADLINE"])
        report.same(
            f"{name}: the grace period is drain delay + drain deadline + {GRACE_BEYOND_DRAIN}",
            spec.get("terminationGracePeriodSeconds"), drain + GRACE_BEYOND_DRAIN)

    gateway = next(d for d in of_kind(documents, "Deployment") if d["metadata"]["name"] == "parlor-gateway")
    report.expect("there are two gateways or more", gateway["spec"]["replicas"] >= 2)
    report.expect("gateways are spread over nodes", gateway["spec"]["template"]["spec"].get("topologySpreadConstraints"))
    budgets = of_kind(documents, "PodDisruptionBudget")
    report.expect("a disruption budget covers the gateways", any(
        matches(budget["spec"]["selector"], gateway["spec"]["template"]["metadata"]["labels"]) for budget in budgets))

    conf = (DEPLOY / "nats" / "nats.conf").read_text()
    store = int(re.search(r"max_file_store: (\d+)GB", conf).group(1))
    claim = of_kind(documents, "StatefulSet")[0]["spec"]["volumeClaimTemplates"][0]["spec"]
    volume = claim["resources"]["requests"]["storage"]
    report.expect("the volume of NATS is larger than its max_file_store",
                  volume.endswith("Gi") and int(volume[:-2]) > store, f"{volume} against {store}GB")


def alone(report, documents):
    """What holds of an installation with one room service and one NATS."""
    workloads = {d["metadata"]["name"]: d["spec"] for d in of_kind(documents, "Deployment", "StatefulSet")}
    room_service = workloads["parlor-room-service"]
    report.same("one room service at a time owns the partitions",
                (room_service["replicas"], room_service["strategy"]["type"]), (1, "Recreate"))
    report.same("one NATS server keeps the streams", workloads["parlor-nats"]["replicas"], 1)
    report.none("nothing asks for copies of streams that one server cannot keep", [
        label(d) for d in of_kind(documents, "ConfigMap") if d["data"].get("PARLOR_NATS_REPLICAS", "1") != "1"])


def matches(selector, labels):
    """A label selector of Kubernetes; a plain map is one too."""
    if selector and not {"matchLabels", "matchExpressions"} & selector.keys():
        selector = {"matchLabels": selector}
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise ValueError(f"these checks do not know the operator {expression['operator']}")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def services(report, documents):
    pods = pods_of(documents)
    for workload in of_kind(documents, "Deployment", "StatefulSet"):
        report.expect(f"{label(workload)} selects its own pods", matches(
            workload["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"]))
    for service in of_kind(documents, "Service"):
        selected = [(name, t) for name, t in pods if matches(service["spec"]["selector"], t["metadata"]["labels"])]
        if not report.same(f"{label(service)} selects the pods of one workload", len(selected), 1):
            continue
        ports = {port["name"] for container in selected[0][1]["spec"]["containers"] for port in container["ports"]}
        report.none(f"{label(service)} leads to ports that its pods have", [
            port["targetPort"] for port in service["spec"]["ports"] if port["targetPort"] not in ports])
    headless = {s["metadata"]["name"] for s in of_kind(documents, "Service") if s["spec"].get("clusterIP") == "None"}
    report.same("NATS and the gRPC API are headless, the gateways are not", headless, {"parlor-nats", "parlor-room-service"})
    for stateful in of_kind(documents, "StatefulSet"):
        report.expect(f"{label(stateful)} belongs to a headless Service", stateful["spec"]["serviceName"] in headless)
    for ingress in of_kind(documents, "Ingress"):
        annotations = ingress["metadata"].get("annotations", {})
        for direction in ("read", "send"):
            key = f"nginx.ingress.kubernetes.io/proxy-{direction}-timeout"
            report.expect(f"{label(ingress)} keeps a silent WebSocket ({direction})", int(annotations.get(key, 0)) >= 3600)
        hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
        secured = {host for tls in ingress["spec"].get("tls", []) for host in tls["hosts"]}
        report.same(f"{label(ingress)} has TLS for every host", hosts, secured)


def settings(report, documents):
    named = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    names_of_services = {d["metadata"]["name"] for d in of_kind(documents, "Service")}
    for name, _, container in containers_of(pods_of(documents)):
        variables = environment(named, container)
        keys = {key for key in variables if key.startswith("PARLOR_")}
        report.none(f"{name}: every setting is one that parlor knows", keys - PARLOR_KEYS)
        if not keys:
            continue
        host = re.fullmatch(r"nats://([a-z-]+):4222", variables["PARLOR_NATS"])
        report.expect(f"{name}: NATS is a Service of ours", host and host.group(1) in names_of_services,
                      variables["PARLOR_NATS"])
        listening = {int(value.rpartition(":")[2]) for key, value in variables.items() if key.endswith("LISTEN")}
        report.same(f"{name}: it listens where its ports are", listening,
                    {port["containerPort"] for port in container["ports"]})
        if "PARLOR_ADMIN_LISTEN" in variables:
            report.expect(f"{name}: the admin port asks for a token", variables.get("PARLOR_ADMIN_TOKEN_FILE"))
        if "PARLOR_LISTEN" in variables:
            report.expect(f"{name}: it knows its proxies", variables.get("PARLOR_TRUSTED_PROXIES"))
