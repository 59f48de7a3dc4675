"""What a definition wants to be checked in its image, beside what it promises anyway."""

from typing import Literal

from formation.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What is at a path. None: whatever it is."""

    path: str
    exists: bool
    type: Literal["file", "directory", "symlink"] | None
    owner: str | None
    """User name or decimal uid."""
    group: str | None
    mode: int | None
    contains: tuple[str, ...]
    """Regular expressions, each of which is found in the content, in lines of it."""
    lacks: tuple[str, ...]
    """Regular expressions, none of which is."""
    place: str
    """`FILE:LINE`."""


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """What a command does in a container of the image."""

    run: tuple[str, ...]
    """Words; no shell."""
    user: str | None
    """None: the image's own."""
    exit_code: int
    output: tuple[str, ...]
    """Regular expressions, each of which is found in stdout or stderr."""
    no_output: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Checks:
    """The section `checks` of a definition."""

    files: tuple[FileCheck, ...] = ()
    commands: tuple[CommandCheck, ...] = ()
    in_path: tuple[str, ...] = ()
    """Commands that the image's PATH finds."""
    libraries: tuple[str, ...] = ()
    """Sonames that programs find."""
    environment: tuple[tuple[str, str], ...] = ()
    """Name and a regular expression for the whole value."""
    labels: tuple[tuple[str, str], ...] = ()
    place: str = ""
    """`FILE:LINE` of the section."""

    def __add__(self, other: "Checks") -> "Checks":
        """Both: what a variant inherits, and its own."""
        return Checks(
            self.files + other.files,
            self.commands + other.commands,
            self.in_path + other.in_path,
            self.libraries + other.libraries,
            self.environment + other.environment,
            self.labels + other.labels,
            other.place or self.place,
        )
