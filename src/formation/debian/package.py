"""A binary package as a Packages index or a dpkg status file describes it."""

from formation.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency: `name:qualifier (operator version)`."""

    name: str
    qualifier: str | None = None
    """`any`, `native` or an architecture; None when not written."""
    operator: str | None = None
    """One of << <= = >= >>; None without a version."""
    version: str | None = None

    def __str__(self) -> str:
        text = self.name + (f":{self.qualifier}" if self.qualifier else "")
        return f"{text} ({self.operator} {self.version})" if self.operator else text


Alternatives = tuple[Relation, ...]
"""`a | b`: any of these satisfies."""


@dataclass(frozen=True, slots=True)
class BinaryPackage:
    """One stanza. Relation fields keep the order of the file; a missing field is an empty tuple."""

    name: str
    version: str
    architecture: str
    source: str
    """Name of the source package; the Source field without its version, or the package's own name."""
    source_version: str
    essential: bool
    important: bool
    """Important: yes or Protected: yes."""
    priority: str
    multi_arch: str
    """no, same, foreign or allowed."""
    pre_depends: tuple[Alternatives, ...]
    depends: tuple[Alternatives, ...]
    recommends: tuple[Alternatives, ...]
    suggests: tuple[Alternatives, ...]
    conflicts: tuple[Alternatives, ...]
    breaks: tuple[Alternatives, ...]
    replaces: tuple[Alternatives, ...]
    provides: tuple[Relation, ...]
    path: str
    """The Filename field."""
    size: int
    sha256: str
    """`sha256:…`."""
    installed_size: int
    """KiB."""
    archive: str
    """Name of the archive in the definition that it comes from."""
    suite: str
