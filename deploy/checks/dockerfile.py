"""The Dockerfile, as far as reading it can tell: no container engine is needed, and none builds it here."""

import fnmatch
import json
import re
import tomllib

from report import DEPLOY, ROOT

KNOWN = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "ARG", "LABEL", "USER", "EXPOSE", "ENTRYPOINT"}


def check(report):
    text = (DEPLOY / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    instructions = [line.split(None, 1) for line in lines.replace("\\\n", " ").splitlines() if line.strip()]
    report.none("instructions are the ones these checks understand (no ADD, no CMD)",
                {name for name, *_ in instructions} - KNOWN)
    values = {name: [rest[0] for head, *rest in instructions if head == name] for name in KNOWN}

    report.none("base images have a tag that stays", [
        image for image in values["FROM"] if ":" not in image.split()[0] or ":latest" in image])
    report.expect("it is built in stages", len(values["FROM"]) >= 2)
    stages = {image.split(" AS ")[1] for image in values["FROM"] if " AS " in image}
    report.none("what is copied between stages comes from one that exists", [
        copy for copy in values["COPY"] for stage in re.findall(r"--from=(\S+)", copy) if stage not in stages])

    channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    report.expect(f"it builds with the pinned Rust {channel}",
                  values["FROM"][0].startswith(f"rust:{channel}-") and f"RUSTUP_TOOLCHAIN={channel}" in values["ENV"],
                  f"{values['FROM'][0]}, {values['ENV']}")
    debian = [re.search(r"(bookworm|trixie|forky)", image) for image in values["FROM"]]
    report.expect("builder and runtime are of one Debian, so the C library fits",
                  len({found.group(1) if found else None for found in debian}) == 1)
    build = next((run for run in values["RUN"] if "cargo build" in run), "")
    report.expect("it builds `parlor`, locked, in the dist profile, with caches",
                  all(part in build for part in ("--profile dist", "--locked", "-p parlor", "--mount=type=cache")), build)
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())
    report.expect("the dist profile exists", "dist" in workspace["profile"])

    user = values["USER"][-1] if values["USER"] else ""
    report.expect("the last user is a number and not root", re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), user)
    report.same("the entry point is the binary", json.loads(values["ENTRYPOINT"][-1]), ["/usr/local/bin/parlor"])
    report.same("its ports are documented", values["EXPOSE"], ["8080 9090 9091"])
    report.none("nothing is fetched by hand", [run for run in values["RUN"] if re.search(r"\b(curl|wget|git clone)\b", run)])

    ignored = [line.rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines()
               if line and not line.startswith("#")]
    needed = [*workspace["workspace"]["members"], "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"]
    report.none("the build gets every crate", [
        path for path in needed for pattern in ignored if fnmatch.fnmatch(path, pattern.removeprefix("**/"))])
    report.none("the build gets no history, results, secrets or data", {
        ".git", "**/target", "**/node_modules", "deploy", "parlor-data"} - set(ignored))
