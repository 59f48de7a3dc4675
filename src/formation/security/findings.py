"""What an audit is made of: checks, and what they find."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from formation.dataclass import dataclass

if TYPE_CHECKING:
    from formation.security.subject import Subject

Severity = Literal["critical", "high", "medium", "low", "info"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first. `info` is worth knowing, and never a reason to fail."""

Kind = Literal["base", "service"]
"""What an image is for: to build others on, or to run."""

Profile = Literal["base", "service", "strict"]
"""`base` and `service` are what every image of that kind should keep. `strict` is what the images of Formation keep:
nothing is allowed because a distribution has it by default."""


class Hit(NamedTuple):
    """What a check function gives: something found, before anybody has judged how bad it is."""

    message: str
    """One sentence that names the thing, without a full stop."""
    path: str = ""
    """In the image, without a leading slash; empty when it is about no path."""
    layer: int | None = None
    """From 0, the base layer first; None when it is about no layer."""
    line: int = 0
    """In the file, from 1; 0 when it is about no line."""
    severity: Severity | None = None
    """Where it is not what the check has."""


class CannotTell(Exception):
    """A check needs what nobody gave: a definition, say. Its text says what, as in `needs --definition`."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an image is looked at for."""

    number: int
    """Its place in the lists of findings and documentation. Never used again for another."""
    id: str
    """Stable, for exceptions and scripts: `setuid-file`."""
    title: str
    """What is wrong where it finds something: `setuid or setgid programs`."""
    severity: Severity
    """Of its findings, unless one of them says otherwise."""
    source: str
    """Who asks for it: CIS, DISA, SSG, dockle, hadolint …"""
    why: str
    """What may happen, in one sentence."""
    fix: str
    """What to do, in one sentence."""
    run: "Callable[[Subject], Iterable[Hit]]"
    """Gives what it finds, at its leisure. Raises CannotTell."""
    base: Severity | None = None
    """Severity in an image that others are built on, where it is another."""
    strict: Severity | None = None
    """Severity under the profile `strict`, where it is another."""
    only: Kind | None = None
    """The kind of images that it is about; None: all."""

    def severity_for(self, kind: Kind, profile: Profile) -> Severity:
        """How bad its findings are in an image of `kind`."""
        if kind == "base" and self.base is not None:
            return self.base
        if profile == "strict" and self.strict is not None:
            return self.strict
        return self.severity


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a check found, judged."""

    check: Check
    severity: Severity
    message: str
    """One sentence, without a full stop."""
    path: str = ""
    """In the image, with its leading slash; empty when it is about no path."""
    layer: int | None = None
    digest: str = ""
    """Of that layer; empty when it is about none."""
    line: int = 0
    """In the file, from 1; 0 when it is about no line."""


def is_as_bad(severity: Severity, as_: Severity) -> bool:
    """Whether `severity` is `as_` or worse."""
    return SEVERITIES.index(severity) <= SEVERITIES.index(as_)
