"""What `formation release` found, as text and as data."""

from typing import TYPE_CHECKING, Any

from formation.cli.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from formation.release.level import Reason
    from formation.release.review import Review
    from formation.release.taken import Taken

_COLOURS = {"major": "\x1b[31m", "minor": "\x1b[33m", "patch": "\x1b[32m"}
_MOST_PATCHES = 10
"""Reasons for a patch that are shown: newer packages, of which `diff` tells more."""


def as_text(found: "Review", *, colour: bool) -> str:
    """For a terminal: a line for each reason, the notes, and the verdict."""
    lines = []
    shown_patches = 0
    for reason in found.reasons:
        if reason.level.name == "PATCH":
            shown_patches += 1
            if shown_patches > _MOST_PATCHES:
                continue
        lines.append(_line(reason, colour))
    if shown_patches > _MOST_PATCHES:
        lines.append(f"       … {shown_patches - _MOST_PATCHES} more of the level patch")
    lines += [f"note: {printable(note)}" for note in found.notes]
    return "".join(f"{line}\n" for line in (*lines, _conclusion(found)))


def _line(reason: "Reason", colour: bool) -> str:
    level = str(reason.level)
    style, reset = (_COLOURS[level], "\x1b[0m") if colour else ("", "")
    variant = f" [{reason.variant}]" if reason.variant else ""
    return f"{style}{level}{reset}  {printable(reason.text)}{printable(variant)}"


def _conclusion(found: "Review") -> str:
    verdict = found.verdict
    if verdict is None:
        return f"the change is {found.level}; nothing says which version came before"
    if verdict.level:
        said = f"a {verdict.level} change since {verdict.previous}: it deserves {verdict.deserved}"
    elif found.files_compared:
        said = f"nothing changed since {verdict.previous}"
    else:
        said = f"nothing that was compared changed since {verdict.previous}; what else did, only two images tell"
    if verdict.version is None or found.unknown:
        return said
    return f"{said}; {verdict.version} is {'enough' if found.enough else 'too small'}{_in_the_way(found.taken)}"


def _in_the_way(taken: "Taken | None") -> str:
    if taken is None:
        return ""
    return f": {printable(taken.name)} is there already, with other content; the next is {taken.following}"


def as_data(found: "Review") -> dict[str, Any]:
    """Everything, for JSON."""
    from formation.release.changelog import in_order

    verdict = found.verdict
    return {
        "level": str(found.level),
        "previous": verdict.previous if verdict else None,
        "deserved": verdict.deserved if verdict else None,
        "version": verdict.version if verdict else None,
        "enough": found.enough if verdict and not found.unknown else None,
        **_taken_data(found.taken),
        "cves": in_order(cve for difference in found.differences for cve in difference.cves),
        "reasons": [
            {"level": str(each.level), "rule": each.rule, "text": each.text, "variant": each.variant or "runtime"}
            for each in found.reasons
        ],
        "notes": list(found.notes),
    }


def no_release_text(where: str, version: str, taken: "Taken | None", notes: "Sequence[str]") -> str:
    """For a terminal, where nothing is to be compared with. `where`: `the store has no release of formation/base`."""
    any_version = "any version will do" if taken is None else f"{version} is too small{_in_the_way(taken)}"
    return "".join(
        f"{line}\n" for line in (*(f"note: {note}" for note in notes), f"{where} before {version}: {any_version}")
    )


def no_release_data(version: str, taken: "Taken | None", notes: "Sequence[str]") -> dict[str, Any]:
    """The same for JSON."""
    found = {"previous": None, "level": None, "deserved": None, "version": version, "enough": taken is None}
    return {**found, **_taken_data(taken), "notes": list(notes)}


def _taken_data(taken: "Taken | None") -> dict[str, Any]:
    """Who has the version that is judged, and the next that nobody has; None: nobody has it."""
    return {"taken": taken.name if taken else None, "next": taken.following if taken else None}
