"""The overlay `cluster`: its manifests stand the loss of a node, and three nats-servers started from the very
files that its pods mount find each other, keep a record on two disks, and carry on without one of them."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

import manifests
import nats
import secrets_files

SERVERS = 3
HOST = "kubernetes.io/hostname"
# An election takes up to nine seconds where a leader was killed, on a machine with better things to do.
ELECTION_S = 40


def check_manifests(report, documents):
    workloads = {d["metadata"]["name"]: d["spec"] for d in manifests.of_kind(documents, "Deployment", "StatefulSet")}
    servers, room_services = workloads["parlor-nats"], workloads["parlor-room-service"]
    report.same("three NATS servers", servers["replicas"], SERVERS)
    report.same("three room services", room_services["replicas"], 3)
    report.same("they are replaced without one missing", (
        room_services["strategy"]["type"], room_services["strategy"]["rollingUpdate"]["maxUnavailable"]), ("RollingUpdate", 0))
    configs = [d["data"] for d in manifests.of_kind(documents, "ConfigMap") if "PARLOR_NATS" in d["data"]]
    report.same("every stream is kept three times", [c.get("PARLOR_NATS_REPLICAS") for c in configs], [str(SERVERS)])

    container = servers["template"]["spec"]["containers"][0]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    report.same("every server has the list of all", variables.get("CLUSTER_PEERS", "").split(","), [
        f"parlor-nats-{n}.{servers['serviceName']}:6222" for n in range(servers["replicas"])])
    report.none("its routes have a port", {6222} - {port["containerPort"] for port in container["ports"]})
    service = next(d for d in manifests.of_kind(documents, "Service") if d["metadata"]["name"] == servers["serviceName"])
    report.expect("servers are found before they are ready", service["spec"].get("publishNotReadyAddresses") is True)

    budgets = manifests.of_kind(documents, "PodDisruptionBudget")
    for name in ("parlor-nats", "parlor-room-service", "parlor-gateway"):
        template = workloads[name]["template"]
        labels = template["metadata"]["labels"]
        covering = [b["spec"].get("maxUnavailable") for b in budgets if manifests.matches(b["spec"]["selector"], labels)]
        report.same(f"{name}: one may be away on purpose, by one budget", covering, [1])
        spread = template["spec"].get("topologySpreadConstraints", [])
        report.expect(f"{name}: it is spread over zones", any(
            s["topologyKey"] == "topology.kubernetes.io/zone" and manifests.matches(s["labelSelector"], labels) for s in spread))
    for name, terms in (
        ("parlor-nats", "requiredDuringSchedulingIgnoredDuringExecution"),
        ("parlor-room-service", "preferredDuringSchedulingIgnoredDuringExecution"),
    ):
        template = workloads[name]["template"]
        affinity = template["spec"].get("affinity", {}).get("podAntiAffinity", {}).get(terms, [])
        affinity = [term.get("podAffinityTerm", term) for term in affinity]
        report.expect(f"{name}: each on a node of its own ({terms[:9]})", any(
            term["topologyKey"] == HOST and manifests.matches(term["labelSelector"], template["metadata"]["labels"])
            for term in affinity))


def check(report):
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = pathlib.Path(temporary)
        made = secrets_files.make(folder / "creds")
        passwords = {user: made[f"{user}.creds"].strip().partition(":")[2] for user in ("gateway", "room-service")}
        peers = [f"127.0.0.1:{port}" for port in free_ports(SERVERS + 1)]
        listed, stranger = ",".join(peers[:SERVERS]), peers[SERVERS]

        def start(n, listen, creds):
            environment = {
                "PATH": os.environ["PATH"], "NATS_SERVER": nats.SERVER, "CREDS_DIR": str(creds),
                "STORE_DIR": str(folder / f"store-{n}"), "CLUSTER_PEERS": listed, "CLUSTER_LISTEN": listen}
            command = ["/bin/sh", nats.START, "--name", f"parlor-nats-{n}"]
            return stack.enter_context(nats.running(command, environment, folder / f"run-{n}"))

        servers = [start(n, peers[n], folder / "creds") for n in range(SERVERS)]
        until("all servers are well and have a leader", lambda: all(healthy(server) for server in servers))
        report.same("each server has routes to the two others", [others(server) for server in servers], [2] * SERVERS)
        refuses(report, folder, made, start, stranger, servers)
        exchanges(report, servers, passwords)
        replaces(report, servers, passwords)


def refuses(report, folder, made, start, listen, servers):
    """Neither a server with another password nor addresses that are none get in."""
    creds = folder / "other-creds"
    secrets_files.make(creds)
    for file in ("gateway.creds", "room-service.creds"):
        (creds / file).write_text(made[file])
    start("stranger", listen, creds)
    time.sleep(2)  # What must not happen has no end to wait for; routes are tried every second.
    report.same("a server with another password is not let in", [others(server) for server in servers], [2] * SERVERS)
    environment = {"PATH": os.environ["PATH"], "NATS_SERVER": nats.SERVER, "CREDS_DIR": str(folder / "creds")}
    for wrong in ("nats", "nats:6222,", ":6222", 'a"b:6222', "a b:6222", "nats://a:6222"):
        run = subprocess.run(["/bin/sh", nats.START, "-t"], env=environment | {"CLUSTER_PEERS": wrong},
                             capture_output=True, text=True, timeout=nats.DEADLINE_S)
        report.expect(f"start.sh refuses the peers {wrong!r}",
                      run.returncode == 1 and "CLUSTER_PEERS" in run.stderr, run.stderr.strip() or run.stdout.strip())
    (creds / "route.creds").unlink()
    run = subprocess.run(["/bin/sh", nats.START, "-t"], capture_output=True, text=True, timeout=nats.DEADLINE_S,
                         env=environment | {"CREDS_DIR": str(creds), "CLUSTER_PEERS": "nats:6222"})
    report.expect("start.sh refuses to be one of several without route.creds",
                  run.returncode == 1 and "route.creds" in run.stderr, run.stderr.strip())


def exchanges(report, servers, passwords):
    """A request from a gateway at one server to a room service at another, and a record on three disks."""
    with servers[0].client("room-service", passwords["room-service"]) as owner, \
            servers[1].client("gateway", passwords["gateway"]) as gateway:
        made = owner.api("STREAM.CREATE.PARLOR_LOG_7", {
            "name": "PARLOR_LOG_7", "subjects": ["parlor.log.7"], "storage": "file", "discard": "new", "num_replicas": 3})
        copies = made.get("cluster", {})
        report.same("a stream has a leader and two followers", (bool(copies.get("leader")), len(copies.get("replicas", []))), (True, 2))
        ack = json.loads(owner.request("parlor.log.7", "commit", {"Nats-Expected-Last-Sequence": 0}))
        report.same("it takes a record", ack.get("seq"), 1)
        answer_one(owner, "parlor.in.7.*.*")
        # A server hears of another's subscriptions on its own time: until then, nobody is there.
        until("an answer", lambda: gateway.request("parlor.in.7.3.lobby", "hi") == "ack")
        report.expect("a gateway at one server is answered by a room service at another", True)
    with servers[2].client("room-service", passwords["room-service"]) as reader:
        found = reader.api("STREAM.MSG.GET.PARLOR_LOG_7", {"seq": 1})
        report.expect("the record is read through a third", "message" in found, found)


def answer_one(client, subject):
    """Answers the first request that comes, on a thread of its own; `client` is not to be used otherwise."""
    client.exchange(f"SUB {subject} 77")

    def answer():
        line = client.stream.readline().decode()
        _, _, _, reply, size = line.split()
        client.stream.read(int(size) + 2)
        client.exchange(f"PUB {reply} 3", "ack")

    threading.Thread(target=answer, daemon=True).start()


def replaces(report, servers, passwords):
    """kill -9 of the stream's leader: another one leads, has the record, and takes the next."""
    with servers[0].client("room-service", passwords["room-service"]) as client:
        leader = client.api("STREAM.INFO.PARLOR_LOG_7", {})["cluster"]["leader"]
    dead = servers[int(leader.rpartition("-")[2])]
    dead.process.send_signal(signal.SIGKILL)
    dead.process.wait(nats.DEADLINE_S)
    alive = next(server for server in servers if server is not dead)

    def lands():
        with alive.client("room-service", passwords["room-service"]) as client:
            client.socket.settimeout(2)
            try:
                ack = json.loads(client.request("parlor.log.7", "commit", {"Nats-Expected-Last-Sequence": 1}) or "{}")
            except TimeoutError:
                return False
            # The first one may have landed unheard.
            return ack.get("seq") == 2 or "last sequence: 2" in ack.get("error", {}).get("description", "")

    until("the next record is taken", lands)
    with alive.client("room-service", passwords["room-service"]) as client:
        info = client.api("STREAM.INFO.PARLOR_LOG_7", {})
        report.expect("another server leads once the leader was killed", info["cluster"]["leader"] != leader, info["cluster"])
        report.same("with every record", (info["state"]["first_seq"], info["state"]["last_seq"]), (1, 2))


def healthy(server):
    try:
        return urllib.request.urlopen(server.monitoring + "/healthz", timeout=nats.DEADLINE_S).status == 200
    except OSError:
        return False


def others(server):
    """Names of other servers that it has routes to, counted once each: a route is several connections."""
    routes = json.load(urllib.request.urlopen(server.monitoring + "/routez", timeout=nats.DEADLINE_S))
    return len({route["remote_name"] for route in routes["routes"]})


def until(what, holds):
    deadline = time.monotonic() + ELECTION_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"in vain: {what}")
        time.sleep(0.1)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
