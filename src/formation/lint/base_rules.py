"""The rules about what an image stands on, FL002 to FL006."""

import re
from collections.abc import Callable, Iterator

from formation.dataclass import dataclass
from formation.definition.source import Position
from formation.errors import UsageError
from formation.lint.configuration import Configuration, end_of_support
from formation.lint.dockerfile import Dockerfile, Stage
from formation.lint.findings import Finding, finding
from formation.lint.text import Text, shown
from formation.lint.variables import expanded
from formation.oci.reference import Reference, parse_reference
from formation.registry.tag_plan import parse_version_tag

MOVING_TAGS = frozenset({"latest", "stable", "edge", "nightly", "main", "master", "dev", "devel", "testing", "current"})
"""Tags that stand for another image tomorrow, whoever's image it is."""

_WRONG_DIGEST = re.compile(r"@sha256:(?![0-9a-f]{64}\Z)[^${}()<>]*\Z")

Published = Callable[[Reference], bool | None]
"""Whether there is such an image; None: nobody who was asked can tell."""


@dataclass(frozen=True, slots=True)
class World:
    """What the rules ask besides the file."""

    configuration: Configuration
    now: int
    """Seconds since 1970."""
    published: Published
    stored: Callable[[str], tuple[str, ...]] = lambda _: ()
    """The tags under which the store has images of a repository."""


def base_findings(text: Text, file: Dockerfile, world: World) -> Iterator[Finding]:
    """Findings about FROM and COPY --from, in their order."""
    shipped = file.shipped
    for stage in file.stages:
        if stage.parent is None and stage.image != "scratch":
            yield from _source(text, stage, world, stands=bool(shipped) and stage is shipped[0])
        elif stage.parent is None and shipped and stage is shipped[0]:
            yield finding(text, _place(stage), "FL002", "the image stands on nothing, not on the platform's base")
        for instruction in stage.instructions:
            name = instruction.flag("from") if instruction.keyword in ("COPY", "ADD") else None
            name = expanded(name, stage.variables, file.escape) if name else None
            if name and not file.is_stage(name) and ("/" in name or ":" in name):
                yield from image_findings(text, text.position(instruction.start), name, world)


def _place(stage: Stage) -> int:
    return stage.source.value.offset(0)


def _source(text: Text, stage: Stage, world: World, *, stands: bool) -> Iterator[Finding]:
    """About an image that a stage stands on; `stands`: that stage is part of what is shipped."""
    at, image = _place(stage), stage.image
    if not stage.source.value.text:
        return
    if image is None:
        message = f"which image {shown(stage.source.value.text)!r} is depends on who builds"
        yield finding(text, at, "FL003", message, fix="give its ARG a default: a version of the base")
        return
    try:
        reference = parse_reference(image, default_tag=None)
    except UsageError as error:
        yield finding(text, at, "FL001", shown(error.message))
        return
    if world.configuration.is_base(reference.repository):
        yield from _base(text, at, reference, world)
        return
    if stands:
        bases = " or ".join(world.configuration.bases)
        yield finding(text, at, "FL002", f"the image stands on {shown(image)}, not on {bases}",
                      fix=f"write FROM {world.configuration.bases[0]}:VERSION")  # fmt: skip
    yield from image_findings(text, text.position(at), image, world)


def _base(text: Text, at: int, reference: Reference, world: World) -> Iterator[Finding]:
    version = parse_version_tag(reference.tag) if reference.tag else None
    if reference.digest is None and version is None:
        what = f"{reference} moves" if reference.tag else f"{reference} means latest, which moves"
        yield finding(text, at, "FL003", what)
        return
    exists = world.published(reference)
    if exists is False:
        yield finding(text, at, "FL005", f"there is no {reference}")
    elif exists is None and reference.digest is None and (tags := world.stored(reference.repository)):
        message = (
            f"the store has no {reference}, and nothing else says that there is one; it has {', '.join(tags[:10])}"
        )
        fix = "ask a registry: --registry HOST"
        yield finding(text, at, "FL005", message, fix=fix, severity="info")
    if version is not None:
        release = version.release
        reason = end_of_support(world.configuration, f"{release.major}.{release.minor}.{release.patch}", world.now)
        if reason:
            yield finding(text, at, "FL006", f"{reference} is not supported: {reason}")


def image_findings(text: Text, at: Position, image: str, world: World) -> Iterator[Finding]:
    """FL004 for an image that is named anywhere, when its name stands for another one tomorrow; FL001 for a digest
    that can be none."""
    try:
        reference = parse_reference(image, default_tag=None)
    except UsageError as error:
        # The engine's own error; names of other transports and templates are not for us to judge.
        if _WRONG_DIGEST.search(image):
            yield finding(text, at, "FL001", shown(error.message), fix="write @sha256: and 64 hexadecimal digits")
        return
    if reference.digest is not None:
        return
    # Of our own images every tag that is no version moves; of others' only those whose name says so. A name without
    # a namespace is Docker's too: a definition of `debian` says nothing of the debian:trixie-slim that it is made in.
    ours = "/" in reference.repository and (
        world.configuration.is_base(reference.repository) or world.configuration.is_service(reference.repository)
    )
    moves = reference.tag is None or reference.tag in MOVING_TAGS or reference.tag.startswith("latest-")
    if moves or (ours and parse_version_tag(reference.tag or "") is None):
        yield finding(text, at, "FL004", f"{shown(image)} has no fixed version")
