"""Counts checks and says which failed and why; never decides what to check."""

import os
import pathlib
import traceback

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent

# Every setting that our files may put into a container's environment: `parlor` refuses to start with a
# key it does not know.
PARLOR_KEYS = {
    "PARLOR_" + name
    for name in (
        "LISTEN ADMIN_LISTEN METRICS_LISTEN DATA_DIR NATS NATS_CREDS NATS_REPLICAS NATS_PREFIX PARTITIONS REPLICA_ID "
        "LIMITS ALLOWED_ORIGINS TRUSTED_PROXIES TIME_ZONE AUTO_CREATE GUESTS ADMIN_TOKEN_FILE DRAIN_DELAY "
        "DRAIN_WINDOW DRAIN_DEADLINE LOG LOG_FORMAT OTLP_ENDPOINT"
    ).split()
}


def seconds(text):
    """`25s`, `500ms` or `1m` in seconds."""
    for unit, factor in (("ms", 0.001), ("s", 1), ("m", 60)):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    raise ValueError(f"{text!r} is not a duration such as 5s")


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def part(self, name, check):
        """Runs `check(self)`; an exception in it is one failure, not the end."""
        print(f"== {name}")
        try:
            check(self)
        except Exception as why:  # what is wrong with the files decides which exception it is
            self.expect(f"{name} can be checked", False, f"{type(why).__name__}: {why}")
            if os.environ.get("VERBOSE"):
                traceback.print_exc()

    def expect(self, what, holds, why_not=""):
        """One check: `what` should be so. `why_not` is said when it is not."""
        if holds:
            self.passed += 1
            print(f"ok   {what}")
        else:
            self.failed += 1
            print(f"FAIL {what}" + (f": {why_not}" if why_not != "" else ""))
        return bool(holds)

    def same(self, what, found, expected):
        return self.expect(what, found == expected, f"expected {expected!r}, found {found!r}")

    def none(self, what, wrong):
        """`wrong` lists what breaks the rule `what`."""
        wrong = list(wrong)
        return self.expect(what, not wrong, "; ".join(map(str, wrong)))
