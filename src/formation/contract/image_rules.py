"""Whether an image is a sound one, whoever made it: metadata, digests, and layers that fit on each other."""

from collections.abc import Iterator

from formation.contents.image import problems
from formation.contents.layer import Problem
from formation.contract.facts import Facts
from formation.contract.findings import Finding, Severity
from formation.oci.rules import broken_rules
from formation.oci.validate import validate_metadata

_WARNINGS = frozenset({"missing-parent", "whiteout-of-nothing"})
"""Engines agree about them, and builders that are in use make them (Bazel, BuildKit's merges)."""
_MOST = 2000
"""Problems of layers that are told one by one."""


def check_image(facts: Facts) -> Iterator[Finding]:
    """What is wrong with the manifest, the config and the directories that it names, and each layer."""
    for problem in validate_metadata(facts.image):
        yield Finding("image", "oci-metadata", problem)
    for rule in broken_rules(facts.image):
        yield Finding("image", "oci-rule", rule)
    yield from _not_directories(facts)
    found = problems(facts.contents)
    for number, each in found[:_MOST]:
        yield _finding(each, number, f"layer {number}: ")
    if len(found) > _MOST:
        yield Finding("layers", "layer-limit", f"there are {len(found) - _MOST} more problems in the layers")
    for each in facts.files.problems:
        yield _finding(each, facts.files.layer_of(each.path), "")


def _not_directories(facts: Facts) -> Iterator[Finding]:
    """No engine starts a container whose working directory or volume is something else."""
    execution = facts.image.config.execution
    wanted = [("working directory", execution.working_directory), *(("volume", each) for each in execution.volumes)]
    for what, path in wanted:
        node = facts.files.find(path) if path else None
        if path and node is not None and node.entry.type != "directory":
            message = f"the {what} {path} is a {node.entry.type}, not a directory"
            yield Finding("configuration", "not-a-directory", message, path=path, layer=node.layer)


def _finding(problem: Problem, layer: int | None, start: str) -> Finding:
    severity: Severity = "warning" if problem.kind in _WARNINGS else "error"
    path = f"/{problem.path}" if problem.path else ""
    message = f"{start}{path} {problem.text}" if path else f"{start}{problem.text}"
    return Finding("layers", f"layer-{problem.kind}", message, severity, path, layer)
