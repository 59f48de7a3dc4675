"""Where on this machine a source of a service is, and what to type when it is not there."""

import re
from pathlib import Path

from formation.definition.beside import leads_nowhere, similar
from formation.definition.problems import Invalid
from formation.definition.service_grammar import is_directory
from formation.definition.service_values import ServiceBuild

_BUILT_BY = (
    (r"target/([^/]+/)?release/", "cargo build --release"),
    (r"target/([^/]+/)?debug/", "cargo build"),
    (r"target/.*\.(jar|war)$", "mvn package"),
    (r"build/libs/", "gradle build"),
    (r"(build|out)/", "make, or cmake --build build"),
    (r"dist/.*\.(whl|tar\.gz)$", "python -m build"),
    (r"dist/", "npm run build"),
    (r"node_modules/", "npm ci --omit=dev"),
    (r"zig-out/", "zig build"),
    (r"\.build/release/", "swift build -c release"),
    (r"_build/", "dune build, or mix release"),
    (r"bin/(Release|Debug)/", "dotnet publish -c Release"),
    (r"(bin|cmd)/", "go build -o bin/ ./..."),
    (r"vendor/", "the package manager's command that fills vendor/"),
)
"""Where the usual tools put what they make, and their command. The first that fits counts."""


def found_source(root: Path, source: str, build: ServiceBuild | None) -> Path:
    """The absolute path, without symbolic links, of `source` in `root`, the definition's directory without them.

    Raises Invalid when it is missing, leads outside `root`, or is not what its last letter says: a directory when it
    ends in a slash, a file otherwise.
    """
    try:
        found = (root / source).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        hint = missing_hint(root, source, build)
        if why := leads_nowhere(root / source):
            raise Invalid(f"{source!r} {why}", hint) from None
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise Invalid(f"there is no {source!r} beside the definition", hint) from None
        raise Invalid(f"{source!r} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not found.is_relative_to(root):
        raise Invalid(f"{source!r} leads outside the definition's directory through a symbolic link", "copy it there")
    if found.is_dir() and not is_directory(source):
        raise Invalid(f"{source!r} is a directory", f"write {source + '/'!r} for all that is in it")
    if not found.is_dir() and is_directory(source):
        raise Invalid(f"{source!r} is not a directory", f"write {source.rstrip('/')!r} for the file")
    return found


def missing_hint(root: Path, source: str, build: ServiceBuild | None) -> str | None:
    """How the missing `source` is usually made, or what is there that has nearly its name; None for neither."""
    if build is not None and build.makes(source):
        return f"its `build:` makes it with: {build.command}"
    for pattern, command in _BUILT_BY:
        if re.match(pattern, source):
            return f"build it first: {command}"
    if root.joinpath("Cargo.toml").is_file() and source.startswith("target/"):
        return "build it first: cargo build --release"
    return similar(root, source)
