"""Whether the layers are well formed, and agree with the config."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from formation.contents.image import problems
from formation.contents.layer import ProblemKind
from formation.oci.rules import broken_rules
from formation.oci.validate import validate_metadata
from formation.security.findings import Check, Hit, Severity
from formation.security.subject import Subject

_SEVERITIES: Final[dict[ProblemKind, Severity]] = {
    "missing-parent": "info",
    "whiteout-of-nothing": "info",
}
_DAMAGE: Final = frozenset[ProblemKind]({"digest", "size", "diff-id", "compression", "unread"})
"""What is wrong with the copy of a layer, and not with what its builder put into it."""
_PROGRAMS = "usr/bin"


def _damage(subject: Subject) -> Iterator[Hit]:
    for number, problem in problems(subject.facts.contents):
        if problem.kind in _DAMAGE:
            yield Hit(f"layer {number}: {problem.text}", layer=number)


def _layers(subject: Subject) -> Iterator[Hit]:
    found = problems(subject.facts.contents)
    damaged = {number for number, problem in found if problem.kind in _DAMAGE}
    for number, problem in found:
        # A tar that was cut short is not to be blamed for its end.
        if problem.kind in _DAMAGE or (problem.kind == "tar" and number in damaged):
            continue
        what = f"/{problem.path} {problem.text}" if problem.path else f"layer {number}: {problem.text}"
        yield Hit(what, problem.path, number, severity=_SEVERITIES.get(problem.kind))
    for problem in subject.files.problems:
        what, place = f"/{problem.path} {problem.text}", subject.files.layer_of(problem.path)
        yield Hit(what, problem.path, place, severity=_SEVERITIES.get(problem.kind))


def _config(subject: Subject) -> Iterator[Hit]:
    image = subject.facts.image
    yield from (Hit(problem) for problem in validate_metadata(image))
    yield from (Hit(rule) for rule in broken_rules(image))
    history = [step for step in image.config.history if not step.empty_layer]
    if image.config.history and len(history) != len(image.config.diff_ids):
        yield Hit(f"the history tells of {len(history)} layers, and the image has {len(image.config.diff_ids)}")
    if subject.facts.architecture is None:
        return
    others: Counter[str] = Counter()
    for path in subject.files.children(_PROGRAMS):
        node = subject.files.get(path)
        elf = None if node is None else subject.files.elf(node)
        if elf is not None and elf.architecture not in (None, subject.facts.architecture):
            others[str(elf.architecture)] += 1
    for architecture, count in sorted(others.items()):
        what = f"{count} programs in /{_PROGRAMS} are for {architecture}, and the image says {image.config.platform}"
        yield Hit(what, _PROGRAMS)


CHECKS: Final = (
    Check(
        10,
        "config-mismatch",
        "a config that does not fit the layers",
        "medium",
        "OCI image-spec, own",
        "Engines start programs that cannot run, or show a history that is not the image's.",
        "Build again with a builder that keeps the specification; set the platform: --platform linux/amd64",
        _config,
    ),
    Check(
        48,
        "layer-tar",
        "layers that engines may unpack differently, or outside of the container",
        "high",
        "own",
        "Absolute and climbing names, escaping links and double entries attack whoever unpacks them.",
        "Build the layer again; no tar that a builder makes looks so",
        _layers,
    ),
    Check(
        49,
        "layer-damaged",
        "layers that are missing, cut short, or not those that were promised",
        "critical",
        "OCI image-spec, own",
        "Engines refuse them, or run other bytes than were published; what is in them was not looked at, or in part.",
        "Copy or pull the image again; if the source has it so too, build and publish it again",
        _damage,
    ),
)
