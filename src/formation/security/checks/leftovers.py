"""What building leaves behind: other people's files, the builder's identity, logs and clocks."""

import re
from collections.abc import Iterator
from typing import Final

from formation.entry import decode_path
from formation.security.findings import Check, Hit
from formation.security.subject import Subject

_EMPTY_IDS = (b"", b"uninitialized")
_LOCAL = re.compile(r"(?:127\.[0-9.]+|::1|ff0[0-9]::[0-9]+|fe00::0|ff00::0)\s.*")
_UTC_ZONES = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "GMT", "Etc/GMT", "Zulu", "Etc/Zulu", "Universal"})
_UTC_RULES = (b"\nUTC0\n", b"\nGMT0\n", b"\nUniversal0\n")
"""The last line of a compiled time zone says its rule (RFC 9636)."""
_HOMES = re.compile(r"(?:root|home/[^/]+|app|var/www)/\.(?:cache|npm)")


def _junk(subject: Subject) -> Iterator[Hit]:
    filled: dict[int, set[str]] = {}
    for layer, entry in subject.traces["junk"]:
        path, name = entry.path, entry.path.rpartition("/")[2]
        if subject.is_owned(path) or path.startswith("usr/share/"):
            continue
        if name in (".cache", ".npm") and not _HOMES.fullmatch(path):
            continue
        if entry.type == "directory":
            if layer not in filled:
                entries = subject.facts.contents.layers[layer].entries
                filled[layer] = {each.path.rpartition("/")[0] for each in entries}
            if path in filled[layer]:
                what = f"/{path} is a directory of a developer's tools{subject.fate(layer, path)}"
                yield Hit(what, path, layer)
        elif entry.size:
            yield Hit(f"/{path} is left from developing or building{subject.fate(layer, path)}", path, layer)


def _identity(subject: Subject) -> Iterator[Hit]:
    for layer, entry in subject.traces["identity"]:
        if entry.type != "file" or not entry.size:
            continue
        data = (subject.facts.contents.layers[layer].kept.get(entry.path) or b"?").strip()
        path = entry.path
        text = decode_path(data)
        if path.endswith("machine-id"):
            wrong = "" if data in _EMPTY_IDS else "identifies one machine, and all containers get it"
        elif path == "etc/hostname":
            wrong = "" if text == "localhost" else f"has the builder's name, {text[:60]!r}"
        elif path == "etc/hosts":
            lines = [line.partition("#")[0].strip() for line in text.split("\n", 1000)]
            odd = [line for line in lines if line and not _LOCAL.fullmatch(line)]
            wrong = f"names other machines: {odd[0][:60]!r}" if odd else ""
        elif path == "etc/mailname":
            wrong = f"has the builder's name, {text[:60]!r}"
        elif path == "etc/resolv.conf":
            wrong = "has the builder's name servers"
        else:
            wrong = "is secret to one machine, and all containers get it"
        if wrong:
            yield Hit(f"/{path} {wrong}{subject.fate(layer, path)}", path, layer)


def _logs(subject: Subject) -> Iterator[Hit]:
    for layer, entry in subject.traces["log"]:
        if entry.size:
            yield Hit(f"/{entry.path} tells when and how the image was built", entry.path, layer)
    created = subject.created
    if created is None:
        return
    for number, layer_contents in enumerate(subject.facts.contents.layers):
        newer = [entry for entry in layer_contents.entries if entry.mtime > created + 1]
        if newer:
            first = newer[0]
            what = f"{len(newer)} entries are newer than the image, /{first.path} first"
            yield Hit(what, first.path, number)


def _time_zone(subject: Subject) -> Iterator[Hit]:
    path = "etc/localtime"
    node = subject.files.get(path)
    if node is not None and node.entry.type == "symlink":
        zone = node.entry.target.partition("zoneinfo/")[2] or node.entry.target
        if zone not in _UTC_ZONES:
            yield Hit(f"/{path} is {zone[:60]!r}", path, node.layer)
    elif node is not None and node.entry.size:
        data = subject.files.content(path)
        if data is None or not data.endswith(_UTC_RULES):
            yield Hit(f"/{path} is not UTC", path, node.layer)
    text = decode_path(subject.files.content("etc/timezone") or b"").strip()
    if text and text not in _UTC_ZONES:
        yield Hit(f"/etc/timezone is {text[:60]!r}", "etc/timezone", subject.files.layer_of("etc/timezone"))


CHECKS: Final = (
    Check(
        42,
        "development-leftover",
        "repositories, caches, Dockerfiles and histories",
        "low",
        "DKL-LI-0003, Lynis HOME-9310",
        "They tell how the service is made, and sometimes more; everyone pulls them.",
        "Name them in .dockerignore; copy what the service needs, not the whole directory",
        _junk,
    ),
    Check(
        43,
        "builder-identity",
        "identities of one machine",
        "medium",
        "debuerreotype-fixup, machine-id(5)",
        "Containers that should differ are the same, or look for the builder's network.",
        "Truncate /etc/machine-id; remove the rest in the step that makes it",
        _identity,
    ),
    Check(
        44,
        "build-log",
        "logs and times of building",
        "low",
        "debuerreotype-fixup",
        "The image differs from build to build, so that nobody can compare it.",
        "Remove the log in the step that writes it; clamp times to SOURCE_DATE_EPOCH (rewrite-timestamp=true)",
        _logs,
    ),
    Check(
        45,
        "time-zone",
        "a time zone other than UTC",
        "low",
        "Docker official-images utc",
        "Logs of different services cannot be put in one order.",
        "Remove /etc/localtime; set TZ where a container needs another zone",
        _time_zone,
    ),
)
