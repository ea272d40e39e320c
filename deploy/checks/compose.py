"""The compose file: it parses, its services are as closed as the pods, its health checks work."""

import http.server
import subprocess
import threading

import yaml
from report import DEPLOY, PARLOR_KEYS, seconds
from secrets_files import FILES


def check(report):
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    report.same("its services", sorted(services), ["gateway-1", "gateway-2", "nats", "room-service"])
    for name, service in services.items():
        report.expect(
            f"{name} is closed",
            service.get("read_only") is True
            and service.get("cap_drop") == ["ALL"]
            and service.get("security_opt") == ["no-new-privileges:true"]
            and not service.get("privileged"),
            "read_only, cap_drop or security_opt")
        report.expect(f"{name} has a health check", service.get("healthcheck", {}).get("test"))
        report.none(f"{name}: its secrets are declared", set(service.get("secrets", [])) - compose["secrets"].keys())
        report.none(f"{name}: it waits for services that exist", set(service.get("depends_on", {})) - services.keys())
        report.expect(f"{name}: its image has a tag that stays", not service["image"].endswith(":latest") and ":" in service["image"])
        variables = service.get("environment", {})
        report.none(f"{name}: every setting is one that parlor knows",
                    {key for key in variables if key.startswith("PARLOR_")} - PARLOR_KEYS)
        if "PARLOR_NATS" not in variables:
            continue
        drain = seconds(variables["PARLOR_DRAIN_DELAY"]) + seconds(variables["PARLOR_DRAIN_DEADLINE"])
        report.same(f"{name}: it has drain delay + drain deadline + 5 to end",
                    seconds(service["stop_grace_period"]), drain + 5)
        report.none(f"{name}: files that settings name are its secrets", [
            value for key, value in variables.items()
            if value.startswith("/run/secrets/") and value.removeprefix("/run/secrets/") not in service["secrets"]])
    report.none("deploy/make-secrets makes every secret, where compose looks for it", [
        source["file"] for name, source in compose["secrets"].items()
        if name not in FILES or source["file"] != f"./secrets/{name}"])
    mounts = [mount.split(":") for mount in services["nats"]["volumes"]]
    report.none("NATS mounts the files that the tests start, and its data is a volume", [
        source for source, target, *_ in mounts
        if not ((DEPLOY / source).is_file() if source.startswith("./") else source in compose["volumes"])])
    targets = [target for _, target, *_ in mounts]
    report.expect("NATS starts the script that it mounts", services["nats"]["entrypoint"][-1] in targets)
    context = DEPLOY / services["gateway-1"]["build"]["context"]
    report.expect("the image is built from a Dockerfile that is there",
                  (context / services["gateway-1"]["build"]["dockerfile"]).is_file())
    gateway_health(report, services["gateway-1"]["healthcheck"]["test"])


def gateway_health(report, test):
    """Runs the gateway's own command against a server that is ready, one that is not, and none."""
    report.same("the health check is a command", test[0], "CMD")

    class Ready(http.server.BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            self.send_response(self.status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [part.replace("$$", "$").replace("/9091", f"/{port}") for part in test[1:]]

    def healthy():
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0

    report.expect("a ready gateway is healthy", healthy())
    Ready.status = 503
    report.expect("an unready gateway is not", not healthy())
    server.shutdown()
    server.server_close()
    report.expect("an absent gateway is not", not healthy())
