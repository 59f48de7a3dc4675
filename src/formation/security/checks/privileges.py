"""Ways to become root on purpose: sudo and doas."""

import re
from collections.abc import Iterator
from typing import Final

from formation.entry import decode_path
from formation.security.findings import Check, Hit
from formation.security.subject import Subject

_PACKAGES = ("sudo", "sudo-ldap", "sudo-rs", "doas", "opendoas", "super", "calife")
_PROGRAMS = ("sudo", "sudo-rs", "doas")
_WITHOUT_PASSWORD = re.compile(r"\bNOPASSWD\s{0,20}:|!\s{0,20}authenticate\b")
_MOST_LINES = 20_000


def _sudo(subject: Subject) -> Iterator[Hit]:
    for name in _PACKAGES:
        if name in subject.installed:
            yield Hit(f"the package {name} {subject.installed[name]} is installed")
    for name in _PROGRAMS:
        path = subject.facts.commands.get(name)
        if path is not None and not subject.is_owned(path):
            yield Hit(f"/{path} is a program to become root", path, subject.files.layer_of(path))
    for path in ("etc/sudoers", *subject.files.kept_below("etc/sudoers.d")):
        for line, rule in sudoers_rules(subject.files.content(path) or b""):
            if _WITHOUT_PASSWORD.search(rule):
                what = f"/{path}:{line} lets somebody become another user without a password"
                yield Hit(what, path, subject.files.layer_of(path), line)
    for line, rule in sudoers_rules(subject.files.content("etc/doas.conf") or b""):
        words = rule.split()
        if words[:1] == ["permit"] and "nopass" in words:
            what = f"/etc/doas.conf:{line} lets somebody become another user without a password"
            yield Hit(what, "etc/doas.conf", subject.files.layer_of("etc/doas.conf"), line)


def sudoers_rules(data: bytes) -> Iterator[tuple[int, str]]:
    """Line, from 1, and text of each rule of a sudoers or doas.conf file: continued lines joined, comments left out.

    A `#` before a digit is a uid (sudoers(5)), and `#include` is no comment either.
    """
    rule, first = "", 0
    for number, raw in enumerate(decode_path(data).split("\n", _MOST_LINES)[:_MOST_LINES], 1):
        first = first or number
        if raw.endswith("\\"):
            rule += raw[:-1] + " "
            continue
        text = re.split(r"#(?![0-9])", rule + raw, maxsplit=1)[0].strip()
        if text:
            yield first, text
        rule, first = "", 0
    if text := rule.strip():
        yield first, text


CHECKS: Final = (
    Check(
        29,
        "sudo",
        "programs and rules to become root",
        "high",
        "DKL-DI-0001, SSG sudo_remove_no_authenticate, SSG sudo_remove_nopasswd, Lynis AUTH-9252",
        "A service that is broken into becomes root; a container needs nobody who does.",
        "Do as root what needs root while the image is built, and purge sudo: apt-get purge sudo",
        _sudo,
    ),
)
