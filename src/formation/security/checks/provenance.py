"""What the image says about where it comes from, and what vouches for it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from formation.contract.base_layers import base_of
from formation.oci.annotations import LOCK_DIGEST
from formation.security.findings import CannotTell, Check, Hit
from formation.security.subject import Subject

_OCI = "org.opencontainers.image."
_WANTED: Final = ("title", "version", "source", "revision", "licenses")
_URL = re.compile(r"https?://[^\s]{3,2000}|(?:git|ssh)(?:\+[a-z]+)?://[^\s]{3,2000}")
_SPDX = re.compile(r"\(?[A-Za-z0-9.+-]+\)?(?:\s(?:AND|OR|WITH)\s\(?[A-Za-z0-9.+-]+\)?)*")
_REVISION = re.compile(r"\S{1,200}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def _said(subject: Subject) -> Mapping[str, str]:
    """The labels, and the manifest's annotations over them."""
    image = subject.facts.image
    return {**image.config.execution.labels, **image.manifest.annotations}


def _labels(subject: Subject) -> Iterator[Hit]:
    said = _said(subject)
    # The lock of a base names its definition by digest: more than a commit says.
    pinned = subject.kind == "base" and bool(_DIGEST.fullmatch(said.get(LOCK_DIGEST, "")))
    for name in _WANTED:
        if not said.get(_OCI + name, "").strip() and not (pinned and name == "revision"):
            yield Hit(f"no label {_OCI}{name}")
    if not said.get(_OCI + "created") and subject.facts.image.config.created is None:
        yield Hit(f"no label {_OCI}created, and no time in the config")
    for name, pattern in (
        ("source", _URL),
        ("url", _URL),
        ("documentation", _URL),
        ("revision", _REVISION),
        ("licenses", _SPDX),
        ("base.digest", _DIGEST),
    ):
        value = said.get(_OCI + name, "")
        if value and not pattern.fullmatch(value[:2048]):
            yield Hit(f"the label {_OCI}{name} is {value[:80]!r}, which is none")
    created = said.get(_OCI + "created", "")
    if created and not _is_time(created):
        yield Hit(f"the label {_OCI}created is {created[:80]!r}, which is no time of RFC 3339")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _base(subject: Subject) -> Iterator[Hit]:
    name = subject.name
    reference = name.partition("@")[0].rpartition("/")[2]
    if ":" in reference and reference.rpartition(":")[2] == "latest":
        yield Hit(f"{name} is a name that moves: nobody can say which image ran", severity="low")
    if subject.kind == "base":
        return
    base = base_of(subject.facts.image)
    if base.digest is None:
        yield Hit("the image does not say which base it stands on", severity="medium")
    elif not _DIGEST.fullmatch(base.digest):
        yield Hit(f"the digest of the base is {base.digest[:80]!r}, which is none")
    if base.name and "@" not in base.name and base.name.rpartition("/")[2].partition(":")[2] in ("", "latest"):
        yield Hit(f"the base {base.name[:120]} has no version")
    declared = subject.declared.base if subject.declared else None
    if declared is not None and base.name is not None and not _same(declared, base.name):
        yield Hit(f"the base is {base.name[:120]}, and the definition names {declared}")


def _same(one: str, other: str) -> bool:
    def short(name: str) -> str:
        return name.removeprefix("docker://").removeprefix("docker.io/").removeprefix("library/").partition("@")[0]

    return short(one) == short(other)


def _attested(subject: Subject) -> Iterator[Hit]:
    if subject.referrers is None:
        raise CannotTell("signatures and attestations are beside the image in a registry: name it docker://…")
    # cosign has a part of that word in the type of everything that it writes.
    kinds = [kind.lower().replace("cosign", "") for kind in subject.referrers]
    for what, words in (
        ("signature", ("sig",)),
        ("SBOM", ("spdx", "cyclonedx", "sbom")),
        ("provenance", ("in-toto", "provenance")),
    ):
        if not any(word in kind for kind in kinds for word in words):
            yield Hit(f"the registry has no {what} of the image")


CHECKS: Final = (
    Check(
        11,
        "label",
        "labels that are missing or malformed",
        "low",
        "hadolint DL3049 to DL3056, OCI annotations.md",
        "Nobody can find the source of an image that misbehaves.",
        "labels: in formation.yaml, or LABEL org.opencontainers.image.source=…. Source and revision of a service that "
        "formation build makes are the remote origin of its Git checkout and the last commit of its directory, where "
        "nothing there is edited; docker build takes them by --label",
        _labels,
    ),
    Check(
        46,
        "attestation",
        "no signature, SBOM or provenance",
        "high",
        "CIS Docker 4.5, CIS Docker 4.12, CIS-DI-0005",
        "Nobody can tell the image from one that an attacker pushed under its name.",
        "Sign and attest it when it is published",
        _attested,
    ),
    Check(
        47,
        "base-unknown",
        "a base that is unknown or not pinned",
        "high",
        "CIS Docker 4.2, CIS-DI-0002, DKL-DI-0006, hadolint DL3006, DL3007",
        "Nobody can say which services a patch of the base has to reach.",
        "FROM formation/base:VERSION, and the annotations org.opencontainers.image.base.name and .digest",
        _base,
    ),
)
