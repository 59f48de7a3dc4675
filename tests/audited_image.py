"""A service image that an audit has nothing to say about, even a strict one, and the ways to spoil it."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from formation.contents.image import scan_image
from formation.contract.facts import facts_of
from formation.definition.audit_exceptions import AuditException
from formation.digest import sha256
from formation.oci.config import Execution, HealthCheck
from formation.oci.image import Image, image_of
from formation.security.audit import Report, audit
from formation.security.findings import Kind, Profile
from formation.security.subject import Declared, Subject
from layer_tars import Member, directory, file
from sound_image import EXECUTION, sound_image

NOW = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
"""A month after the image was made."""

LABELS = {
    "org.opencontainers.image.title": "form/service",
    "org.opencontainers.image.version": "1.0.0",
    "org.opencontainers.image.source": "https://git.example.com/service",
    "org.opencontainers.image.revision": "0123abcd",
    "org.opencontainers.image.licenses": "Apache-2.0 AND MIT",
    "org.opencontainers.image.base.name": "formation/base:1.0.0",
    "org.opencontainers.image.base.digest": f"sha256:{'a' * 64}",
}
HEALTH = HealthCheck(("CMD", "tool", "--check"))
RELEASE = b"ID=debian\nVERSION_CODENAME=trixie\n"
DECLARED = Declared(
    packages=frozenset({("libc6", "2.41-12"), ("tool", "1.0-1")}),
    hosts=frozenset(),
    keys=frozenset(),
    base="formation/base:1.0.0",
)
REFERRERS = (
    "application/vnd.dev.cosign.artifact.sig.v1+json",
    "application/spdx+json",
    "application/vnd.in-toto+json",
)

Change = Callable[[dict[str, Any]], None]
"""Changes the image config, as JSON."""


def execution(**changes: Any) -> Execution:
    """How the image runs, with some of it changed."""
    said = {name: getattr(EXECUTION, name) for name in Execution.__dataclass_fields__}
    return Execution(**{**said, "labels": LABELS, "health_check": HEALTH, **changes})


def image(*upper: Sequence[Member], change: Change | None = None, **changes: Any) -> Image:
    """The image, with more layers on top, and `changes` of how it runs."""
    top = [directory("app", 0o755, 999, 999), file("etc/os-release", RELEASE)]
    made = sound_image(top, *map(list, upper), execution=execution(**changes))
    if change is None:
        return made
    config = json.loads(made.config_bytes)
    change(config)
    return with_config(made, config)


def with_config(made: Image, config: dict[str, Any]) -> Image:
    """`made` with another config."""
    data = json.dumps(config).encode()
    manifest = json.loads(made.manifest_bytes)
    manifest["config"] |= {"digest": made.source.add(data), "size": len(data)}
    encoded = json.dumps(manifest).encode()
    assert made.source.add(encoded) == sha256(encoded)
    return image_of(made.source, encoded)


def subject(
    made: Image,
    *,
    kind: Kind = "service",
    profile: Profile = "strict",
    now: int = NOW,
    name: str = "form/service:1.0.0",
    declared: Declared | None = DECLARED,
    referrers: tuple[str, ...] | None = REFERRERS,
) -> Subject:
    """`made` as an audit looks at it, with all that anybody could tell it."""
    facts = facts_of(scan_image(made, None, workers=1))
    return Subject(facts, kind, profile, now=now, name=name, declared=declared, referrers=referrers)


def audited(made: Image, exceptions: Sequence[AuditException] = (), **options: Any) -> Report:
    """What an audit finds in `made`."""
    return audit(subject(made, **options), exceptions)


def found(report: Report) -> set[str]:
    """The ids of the checks that found something."""
    return {finding.check.id for finding in report.findings}
