"""nats-server with nats.conf: it starts, keeps what it acked, and each user may do exactly what its service
needs. Speaks the protocol itself: the server answers a refused PUB or SUB with -ERR before the next PONG."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

import secrets_files
from report import DEPLOY

SERVER = os.environ["NATS_SERVER"]
CONF = DEPLOY / "nats" / "nats.conf"
START = DEPLOY / "nats" / "start.sh"
PASSWORDS = {"gateway": "gatewayPassword1", "room-service": "roomServicePassword1"}
ENVIRONMENT = {"GATEWAY_PASSWORD": PASSWORDS["gateway"], "ROOM_SERVICE_PASSWORD": PASSWORDS["room-service"]}
DEADLINE_S = 10

# The contract: subjects that a service uses, and ones close by that it must not reach.
RULES = {
    "gateway": {
        "publish": (
            "parlor.in.7.3.lobby parlor.in.meta.1.~5L2g parlor.who.7 parlor.meta.get parlor.presence.7 parlor.user "
            "parlor.live.7.lobby parlor.sync parlor.inbox.gateway.sync.1",
            "parlor.out.7.lobby parlor.own parlor.meta parlor.heads.7 parlor.admin.7.3 parlor.log.7 parlor.ping.0a "
            "parlor.release.0a parlor.room.7.room.lobby parlor.inbox.gateway.x.1 parlor.inbox.room-service.x.1 "
            "parlor.in.7.lobby parlor.in.7.3.lobby.x other.in.7.3.lobby $JS.API.INFO $JS.API.STREAM.INFO.PARLOR_LOG_7 "
            "$JS.API.STREAM.MSG.GET.PARLOR_ROOM_7 $JS.API.DIRECT.GET.PARLOR_ROOM_7 $JS.API.STREAM.DELETE.PARLOR_LOG_7 "
            "$JS.API.STREAM.PURGE.PARLOR_LOG_7 $JS.API.CONSUMER.CREATE.PARLOR_LOG_7.c $JS.ACK.x $SYS.REQ.SERVER.PING",
        ),
        "subscribe": (
            "parlor.out.7.lobby parlor.out.*.* parlor.own parlor.meta parlor.user parlor.heads.7 parlor.heads.* "
            "parlor.live.7.lobby parlor.inbox.gateway.x.* parlor.inbox.gateway.>",
            "> parlor.> parlor.*.*.* parlor.in.*.*.* parlor.in.7.3.lobby parlor.admin.*.* parlor.who.* parlor.meta.get "
            "parlor.ping.* parlor.release.* parlor.presence.* parlor.log.7 parlor.log.* parlor.room.> parlor.inbox.> "
            "parlor.inbox.room-service.> "
            "_INBOX.> $JS.> $JS.EVENT.> $SYS.>",
        ),
    },
    "room-service": {
        "publish": (
            "parlor.out.7.lobby parlor.own parlor.meta parlor.heads.7 parlor.who.7 parlor.in.7.3.lobby parlor.admin.7.3 "
            "parlor.ping.0a parlor.release.0a parlor.inbox.gateway.x.1 parlor.inbox.room-service.x.1 parlor.sync "
            "parlor.log.7 parlor.room.7.room.lobby "
            "parlor.room.7.page.lobby.3 $JS.API.STREAM.INFO.PARLOR_LOG_7 $JS.API.STREAM.CREATE.PARLOR_LOG_8 "
            "$JS.API.STREAM.MSG.GET.PARLOR_ROOM_7 $JS.API.STREAM.MSG.DELETE.PARLOR_ROOM_7 "
            "$JS.API.STREAM.PURGE.PARLOR_LOG_7 $JS.API.DIRECT.GET.PARLOR_LOG_7",
            "parlor.presence.7 parlor.user parlor.live.7.lobby parlor.meta.get parlor.log.7.x parlor.room.7 "
            "parlor.out.7.lobby.x other.log.7 $JS.API.STREAM.DELETE.PARLOR_LOG_7 $JS.API.STREAM.UPDATE.PARLOR_LOG_7 "
            "$JS.API.STREAM.NAMES $JS.API.STREAM.RESTORE.PARLOR_LOG_7 $JS.API.STREAM.SNAPSHOT.PARLOR_LOG_7 "
            "$JS.API.ACCOUNT.PURGE.PARLOR $JS.API.INFO $JS.API.CONSUMER.CREATE.PARLOR_LOG_7.c "
            "$JS.API.CONSUMER.MSG.NEXT.PARLOR_LOG_7.c $JS.ACK.x $SYS.REQ.SERVER.PING",
        ),
        "subscribe": (
            "parlor.in.7.3.* parlor.in.*.*.* parlor.who.* parlor.ping.* parlor.release.* parlor.meta parlor.meta.get "
            "parlor.presence.* parlor.own parlor.admin.7.3 parlor.admin.*.* parlor.inbox.room-service.x.* "
            "parlor.inbox.room-service.>",
            "> parlor.> parlor.user parlor.out.*.* parlor.heads.* parlor.live.*.* parlor.log.* parlor.room.> parlor.inbox.> "
            "parlor.inbox.gateway.> _INBOX.> $JS.> $SYS.>",
        ),
    },
}


def check(report):
    test = subprocess.run([SERVER, "-t", "-c", CONF], env=ENVIRONMENT, capture_output=True, text=True)
    report.expect("nats-server accepts nats.conf", test.returncode == 0, test.stderr.strip())
    missing = subprocess.run([SERVER, "-t", "-c", CONF], env={}, capture_output=True, text=True)
    report.expect("and not without passwords", missing.returncode != 0 and "GATEWAY_PASSWORD" in missing.stderr)

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        command = [SERVER, "-c", CONF, "-sd", folder / "store"]
        with running(command, ENVIRONMENT, folder / "run") as server:
            as_configured(report, server)
            logins(report, server)
            for user, rules in RULES.items():
                for verb, (allowed, denied) in rules.items():
                    with server.client(user) as client:
                        attempt = client.may_publish if verb == "publish" else client.may_subscribe
                        report.none(f"{user} may {verb} what it needs", [s for s in allowed.split() if not attempt(s)])
                        report.none(f"{user} may not {verb} anything close by", [s for s in denied.split() if attempt(s)])
            keeps(report, server)
            server.process.send_signal(signal.SIGKILL)
        with running(command, ENVIRONMENT, folder / "again") as server, server.client("room-service") as client:
            found = client.api("STREAM.MSG.GET.PARLOR_LOG_7", {"seq": 2})
            report.expect("an acked record outlives kill -9 of the server", "message" in found, found)
    start_script(report)


def as_configured(report, server):
    figures = json.load(urllib.request.urlopen(server.monitoring + "/varz", timeout=DEADLINE_S))
    report.same("every ack waits for the disk", figures["jetstream"]["config"].get("sync_always"), True)
    report.same("max_payload is 1 MiB", figures["max_payload"], 1024 * 1024)
    for path in ("/healthz", "/healthz?js-enabled-only=true", "/healthz?js-server-only=true"):
        answer = urllib.request.urlopen(server.monitoring + path, timeout=DEADLINE_S)
        report.same(f"{path} answers the probes", answer.status, 200)


def logins(report, server):
    for what, options in (
        ("nobody", {}),
        ("a stranger", {"user": "stranger", "pass": PASSWORDS["gateway"]}),
        ("a wrong password", {"user": "gateway", "pass": "wrong"}),
        ("an empty password", {"user": "gateway", "pass": ""}),
        ("the other user's password", {"user": "room-service", "pass": PASSWORDS["gateway"]}),
    ):
        with contextlib.closing(Client(server.address, options)) as client:
            report.expect(f"{what} is not let in", "Authorization Violation" in client.error, client.error or "let in")


def keeps(report, server):
    """What the broker adapter does with a log, as the room service."""
    with server.client("room-service") as client:
        made = client.api("STREAM.CREATE.PARLOR_LOG_7", {
            "name": "PARLOR_LOG_7", "subjects": ["parlor.log.7"], "storage": "file", "discard": "new"})
        report.expect("the room service makes a stream", "config" in made, made)
        for expected in (0, 1):
            ack = client.request("parlor.log.7", "commit", {"Nats-Expected-Last-Sequence": expected})
            report.same(f"and appends record {expected + 1}", json.loads(ack).get("seq"), expected + 1)
        late = json.loads(client.request("parlor.log.7", "commit", {"Nats-Expected-Last-Sequence": 1}))
        report.expect("a stale expectation is refused", late.get("error", {}).get("err_code") == 10071, late)
        found = client.api("STREAM.MSG.GET.PARLOR_LOG_7", {"seq": 1})
        report.expect("it reads the log through the leader", found.get("message", {}).get("seq") == 1, found)
        trimmed = client.api("STREAM.PURGE.PARLOR_LOG_7", {"seq": 2})
        report.same("it trims", trimmed.get("purged"), 1)
        no_one = client.request("parlor.sync", "", {"From": "check"})
        report.same("a question that nobody hears is answered at once", no_one, "")


def start_script(report):
    """start.sh gives nats-server the passwords of the files, and refuses ones that it would misread."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        creds = folder / "creds"
        made = secrets_files.make(creds)
        environment = {
            "PATH": os.environ["PATH"], "NATS_SERVER": SERVER, "CREDS_DIR": str(creds), "STORE_DIR": str(folder / "store")}
        with running(["/bin/sh", START, "--name", "parlor-nats-0"], environment, folder / "run") as server:
            for user in PASSWORDS:
                password = made[f"{user}.creds"].strip().partition(":")[2]
                with server.client(user, password) as client:
                    report.expect(f"start.sh lets {user} in with the password of its file", not client.error, client.error)
            report.expect("and keeps streams where it was told", (folder / "store" / "jetstream").is_dir())

        example = (secrets_files.EXAMPLE / "gateway.creds").read_text()
        for what, text in (
            ("an empty file", ""),
            ("another user", "room-service:k0123456789abcdef\n"),
            ("a password without its user", "k0123456789abcdef\n"),
            ("no password", "gateway:\n"),
            ("a number", "gateway:12345678901234567890\n"),
            ("a comment sign", "gateway:k0123456789abcdef#x\n"),
            ("a space", "gateway:k0123456789abcdef x\n"),
            ("a short password", "gateway:k012345\n"),
            ("the example's placeholder", example),
            ("a missing file", None),
        ):
            (creds / "gateway.creds").unlink(missing_ok=True)
            if text is not None:
                (creds / "gateway.creds").write_text(text)
            run = subprocess.run(["/bin/sh", START, "-t"], env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
            report.expect(f"start.sh refuses {what}, naming the file",
                          run.returncode == 1 and "gateway.creds" in run.stderr, run.stderr.strip() or run.stdout.strip())
        (creds / "gateway.creds").write_text("gateway:k0123456789abcdef")
        run = subprocess.run(["/bin/sh", START, "-t"], env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
        report.expect("start.sh takes a file without a last newline", run.returncode == 0, run.stderr.strip())


class Server:
    def __init__(self, process, ports):
        self.process = process
        self.address = ports["nats"][0].removeprefix("nats://")
        self.monitoring = ports["monitoring"][0]

    @contextlib.contextmanager
    def client(self, user, password=None):
        client = Client(self.address, {"user": user, "pass": password or PASSWORDS[user]})
        try:
            yield client
        finally:
            client.close()


@contextlib.contextmanager
def running(command, environment, folder):
    """A server on free ports of the loopback, ended when the block is left."""
    folder.mkdir()
    log = open(folder / "log", "w+")
    arguments = [*command, "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", folder]
    process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
    try:
        started = time.monotonic()
        while True:
            for path in folder.glob("*.ports"):
                with contextlib.suppress(ValueError):  # half written
                    ports = json.loads(path.read_text())
                    yield Server(process, ports)
                    return
            if process.poll() is not None or time.monotonic() - started > DEADLINE_S:
                log.seek(0)
                raise RuntimeError(f"nats-server did not start: {log.read().strip()}")
            time.sleep(0.02)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        log.close()


class Client:
    """Enough of the NATS protocol to see what a user may do."""

    def __init__(self, address, options):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), DEADLINE_S)
        self.stream = self.socket.makefile("rwb")
        self.stream.readline()  # INFO
        self.inbox = f"parlor.inbox.{options.get('user')}.check"
        self.subscriptions = 0
        self.error = self.exchange(
            "CONNECT " + json.dumps({"verbose": False, "headers": True, "no_responders": True, **options}))

    def close(self):
        self.stream.close()
        self.socket.close()

    def exchange(self, *lines):
        """Sends lines and a PING; what the server refused before its PONG."""
        error = ""
        try:
            self.stream.write("".join(line + "\r\n" for line in (*lines, "PING")).encode())
            self.stream.flush()
            while (line := self.stream.readline().decode()) and not line.startswith("PONG"):
                if line.startswith("-ERR"):
                    error += line.strip()
                elif line.startswith(("MSG", "HMSG")):
                    self.stream.read(int(line.split()[-1]) + 2)
        except ConnectionError as closed:
            return error or str(closed)
        return error or ("" if line else "closed")

    def may_publish(self, subject):
        return self.judge(self.exchange(f"PUB {subject} 0", ""), subject)

    def may_subscribe(self, subject):
        self.subscriptions += 1
        return self.judge(
            self.exchange(f"SUB {subject} {self.subscriptions}", f"UNSUB {self.subscriptions}"), subject)

    @staticmethod
    def judge(error, subject):
        if error and "Permissions Violation" not in error:
            raise RuntimeError(f"{subject}: {error}")
        return not error

    def request(self, subject, payload, headers=None):
        self.subscriptions += 1
        reply = f"{self.inbox}.{self.subscriptions}"
        body = payload.encode()
        if headers:
            head = "NATS/1.0\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items()) + "\r\n"
            publish = f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n{head}"
        else:
            publish = f"PUB {subject} {reply} {len(body)}\r\n"
        self.stream.write(f"SUB {reply} {self.subscriptions}\r\n{publish}{payload}\r\n".encode())
        self.stream.flush()
        while line := self.stream.readline().decode():
            if line.startswith("-ERR"):
                raise RuntimeError(line.strip())
            if line.startswith(("MSG", "HMSG")):
                fields = line.split()
                content = self.stream.read(int(fields[-1]) + 2)[:-2]
                if fields[2] != str(self.subscriptions):
                    continue
                return (content[int(fields[-2]):] if fields[0] == "HMSG" else content).decode()
        raise RuntimeError("the server closed the connection")

    def api(self, name, body):
        return json.loads(self.request(f"$JS.API.{name}", json.dumps(body) if body else ""))
