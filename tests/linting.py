"""Runs the rules of lint over a text, for tests."""

from collections.abc import Mapping
from pathlib import Path

from formation.lint.base_rules import World
from formation.lint.configuration import Configuration
from formation.lint.findings import Finding
from formation.lint.lint import Result, fixed, lint_target
from formation.lint.rules import Kind
from formation.lint.targets import Target
from formation.oci.reference import Reference

NOWHERE = Path("/nonexistent")
NOW = 1_800_000_000
"""2027-01-15."""

SERVICE = """\
FROM formation/base:1.0.0
USER formation
ENTRYPOINT ["/usr/local/bin/service"]
HEALTHCHECK CMD ["/usr/local/bin/service", "--health"]
"""
COMPOSE = """\
services:
  web:
    image: formation/web:1.0.0
    healthcheck: {test: [CMD, "true"]}
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    volumes: ["logs:/var/log/formation"]
"""
POD = """\
apiVersion: v1
kind: Pod
spec:
  securityContext: {runAsNonRoot: true}
  volumes: [{name: logs, emptyDir: {}}]
  containers:
    - name: web
      image: formation/web:1.0.0
      livenessProbe: {exec: {command: ["true"]}}
      securityContext:
        readOnlyRootFilesystem: true
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
      volumeMounts: [{name: logs, mountPath: /var/log/formation}]
"""


def world(
    configuration: Configuration | None = None,
    published: Mapping[str, bool] | None = None,
    stored: tuple[str, ...] = (),
) -> World:
    known = published or {}

    def ask(reference: Reference) -> bool | None:
        return known.get(str(reference))

    return World(configuration or Configuration(), NOW, ask, lambda _: stored)


def target(text: str | bytes, kind: Kind = "Dockerfile", directory: Path = NOWHERE) -> Target:
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return Target(directory / "file", "file", kind, content)


def linted(text: str | bytes, kind: Kind = "Dockerfile", **options) -> Result:
    return lint_target(target(text, kind), world(**options))


def findings(text: str | bytes, kind: Kind = "Dockerfile", **options) -> tuple[Finding, ...]:
    return linted(text, kind, **options).findings


def rules(text: str | bytes, kind: Kind = "Dockerfile", **options) -> list[str]:
    return [each.rule for each in findings(text, kind, **options)]


def after_fix(text: str | bytes, kind: Kind = "Dockerfile", directory: Path = NOWHERE) -> str:
    return fixed(target(text, kind, directory), world()).decode("utf-8", "surrogateescape")
