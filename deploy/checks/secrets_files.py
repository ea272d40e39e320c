"""deploy/make-secrets and the placeholders of the example overlay."""

import pathlib
import re
import subprocess
import tempfile

from report import DEPLOY, ROOT

FILES = {"gateway.creds", "room-service.creds", "route.creds", "admin-token"}
OVERLAYS = DEPLOY / "kubernetes" / "overlays"
EXAMPLE = OVERLAYS / "example" / "secrets"
PUBLIC = (EXAMPLE, OVERLAYS / "cluster" / "secrets")


def make(folder):
    subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True)
    return {path.name: path.read_text() for path in pathlib.Path(folder).iterdir()}


def check(report):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "secrets"
        made = make(folder)
        report.same("it makes every secret", set(made), FILES)
        report.none("each is one line that NATS cannot misread", [
            name for name, text in made.items()
            if not re.fullmatch(rf"({re.escape(name.removesuffix('.creds'))}:)?k[0-9a-f]{{48}}\n", text)])
        report.same("no two are the same", len({text.rpartition(":")[2] for text in made.values()}), len(FILES))
        report.same("the folder is closed to others", folder.stat().st_mode & 0o777, 0o700)
        (folder / "gateway.creds").unlink()
        again = make(folder)
        report.expect("run again, it makes what is missing", again["gateway.creds"] != made["gateway.creds"])
        report.expect("and leaves the rest", all(again[name] == made[name] for name in FILES - {"gateway.creds"}))
    report.none("the examples' secrets are placeholders", [
        path for folder in PUBLIC for path in folder.iterdir() if "changeMe" not in path.read_text()])
    tracked = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, capture_output=True, text=True)
    report.none("no other secret is in the repository", [
        path for path in tracked.stdout.splitlines()
        if pathlib.Path(path).name in FILES and (ROOT / path).parent not in PUBLIC])
