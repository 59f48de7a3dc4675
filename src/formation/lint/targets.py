"""Which files there are to look at, and what each is: by its name, and by its content where the name says nothing."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from formation.dataclass import dataclass
from formation.errors import UsageError
from formation.lint import kubernetes_rules
from formation.lint.dockerfile_syntax import LIMIT
from formation.lint.rules import Kind

_DOCKERFILE = re.compile(r"(?i)(?:(?:Docker|Container)file(?:[.-].+)?|.+\.(?:Docker|Container)file)\Z")
_NO_DOCKERFILE = re.compile(r"(?i).*\.(?:dockerignore|containerignore|md|txt|py|sh|go|rst|orig|rej|bak)\Z|.*~\Z")
_COMPOSE = re.compile(r"(?i)(?:.*[-_.])?compose(?:[-_.].+)?\.ya?ml\Z")
_YAML = re.compile(r"(?i).*\.ya?ml\Z")
_SERVICES = re.compile(r"^services:", re.MULTILINE)
_FROM = re.compile(r"(?im)^[ \t]*FROM[ \t]+\S")
_TEMPLATE = re.compile(r"\{\{-?[ \t]*[.$a-z]")
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "vendor", "target", "venv"})
_DEFINITION = "formation.yaml"
_KIND_BASE = re.compile(r"^kind:[ \t]*[\"']?base[\"']?[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_NAME = re.compile(r"^name:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """A file to look at."""

    path: Path
    """Absolute."""
    shown: str
    """As messages name it."""
    kind: Kind
    content: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What is below the paths that were asked for."""

    targets: tuple[Target, ...]
    bases: tuple[str, ...]
    """Names of the base definitions there."""
    notes: tuple[str, ...]
    """What was passed over that someone may have expected to be looked at."""


def find_targets(paths: Iterable[str], directory: Path) -> Found:
    """The files that `paths`, relative to `directory`, name, and those in the directories among them.

    Hidden directories, symbolic links in directories and what is installed there (node_modules) are passed over.
    Raises UsageError for a path that does not exist, cannot be read, is none of the three kinds, or has none below it.
    """
    targets: dict[Path, Target] = {}
    bases: list[str] = []
    notes: list[str] = []
    for name in paths:
        path = directory / name
        if path.is_dir():
            empty = True
            for file, label in _walk(path, name):
                if file.name == _DEFINITION and (base := base_name(file.parent)):
                    bases.append(base)
                if target := _in_directory(file, label, notes):
                    targets.setdefault(file, target)
                    empty = False
            if empty:
                raise UsageError(
                    f"{name} has no Dockerfile, compose file or Kubernetes manifest",
                    hint=notes[-1] if notes else "name Dockerfiles, compose files, manifests or directories of them",
                )
        else:
            targets.setdefault(path, _named(path, name))
            if base := base_name(path.parent):
                bases.append(base)
    return Found(tuple(targets.values()), tuple(dict.fromkeys(bases)), tuple(notes))


def base_name(directory: Path) -> str | None:
    """The name of the base that the definition in `directory` describes; None: there is none, or it is a service's."""
    try:
        with (directory / _DEFINITION).open("rb") as file:
            text = file.read(_HEAD).decode(errors="replace")
    except (OSError, ValueError):
        return None
    name = _NAME.search(text)
    return name[1] if name and _KIND_BASE.search(text) else None


def _walk(root: Path, label: str) -> Iterator[tuple[Path, str]]:
    # Not os.walk, which recurses.
    pending = [(root, os.path.normpath(label))]
    while pending:
        directory, shown = pending.pop()
        below = []
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                found = Path(entry.path), entry.name if shown == "." else f"{shown}/{entry.name}"
                if not entry.is_dir(follow_symlinks=False):
                    yield found
                elif not entry.name.startswith(".") and entry.name not in _PASSED_OVER:
                    below.append(found)
        pending += reversed(below)


def _in_directory(path: Path, label: str, notes: list[str]) -> Target | None:
    dockerfile = bool(_DOCKERFILE.match(path.name) and not _NO_DOCKERFILE.match(path.name))
    if (not dockerfile and not _YAML.match(path.name)) or path.is_symlink() or not path.is_file():
        return None
    content = _read(path, label)
    if dockerfile:
        return Target(path, label, "Dockerfile", content)
    kind = _yaml_kind(path.name, content, by_content=False)
    if kind is not None and _TEMPLATE.search(content.decode(errors="replace")):
        notes.append(f"{label} is a template: lint what it renders to, such as what `helm template` prints")
        return None
    return None if kind is None else Target(path, label, kind, content)


def _named(path: Path, label: str) -> Target:
    """The file that a person named, whatever it is called."""
    if not path.exists():
        raise UsageError(f"there is no {label}", hint="name Dockerfiles, compose files, manifests or directories")
    if not path.is_file():
        raise UsageError(f"{label} is neither a file nor a directory")
    content = _read(path, label)
    kind: Kind | None = "Dockerfile" if _DOCKERFILE.match(path.name) else None
    if kind is None:
        kind = _yaml_kind(path.name, content, by_content=True)
    if kind is None and not _YAML.match(path.name) and _FROM.search(content.decode(errors="replace")):
        kind = "Dockerfile"
    if kind is None:
        raise UsageError(f"{label} is no Dockerfile, compose file or Kubernetes manifest")
    return Target(path, label, kind, content)


def _yaml_kind(name: str, content: bytes, *, by_content: bool) -> Kind | None:
    text = content.decode(errors="replace")
    if kubernetes_rules.is_manifest(text):
        return "Kubernetes"
    if _COMPOSE.match(name) or (by_content and _SERVICES.search(text)):
        return "compose"
    return None


def _read(path: Path, label: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read {label}: {error.strerror}") from None
