"""The shape of the section `hardening` of a base's formation.yaml."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from formation.definition import path_grammar
from formation.definition.hardening import Hardening
from formation.definition.model_parts import Entry
from formation.definition.problems import Invalid, nearest

_WORDS = ("remove", "keep")


def _setuid(value: object) -> object:
    """None for `keep`, the paths that keep their bits otherwise."""
    if value == "keep":
        return None
    if value == "remove":
        return []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [path_grammar.path(item) for item in value]
    hint = nearest(str(value), _WORDS) or "remove, keep, or a list of the paths that keep their bits"
    raise Invalid(f"hardening.setuid cannot be {value!r}", hint)


class HardeningEntry(Entry):
    """What makes the image hard to misuse. Each measure can be turned off."""

    setuid: Annotated[
        list[str] | None,
        BeforeValidator(_setuid),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "enum": list(_WORDS)},
                    {"type": "array", "items": {"type": "string", "pattern": path_grammar.PATH}},
                ]
            }
        ),
    ] = Field(
        default=[],
        description="Setuid and setgid bits of programs: `remove` (they stay removed when dpkg upgrades the package), "
        "`keep`, or a list of the paths that keep theirs.",
        json_schema_extra={"default": "remove"},
    )
    accounts: Literal["lock", "keep"] = Field(default="lock", description="Shells of Debian's own accounts but root's.")
    modes: Literal["tight", "keep"] = Field(
        default="tight", description="Modes of directories that are root's alone, or belong to groups of no use here."
    )
    package_manager: Literal["safe", "keep"] = Field(
        default="safe", description="Whether apt's configuration forbids what is not authenticated."
    )
    traces: Literal["remove", "keep"] = Field(
        default="remove", description="Backups of the account files. Logs and machine ids never get into an image."
    )


def hardening_from(entry: HardeningEntry) -> Hardening:
    """The value that `entry` describes."""
    return Hardening(
        setuid=None if entry.setuid is None else tuple(sorted(entry.setuid)),
        accounts=entry.accounts == "lock",
        modes=entry.modes == "tight",
        package_manager=entry.package_manager == "safe",
        traces=entry.traces == "remove",
    )
