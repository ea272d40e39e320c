"""Runs the checks of deploy/ and counts them. Started by deploy/check, which brings the tools."""

import sys

import cluster
import compose
import dockerfile
import manifests
import nats
import secrets_files
from report import Report

report = Report()
for part in (manifests, compose, dockerfile, secrets_files, nats, cluster):
    report.part(part.__name__, part.check)
print(f"{report.passed} passed, {report.failed} failed")
sys.exit(1 if report.failed else 0)
