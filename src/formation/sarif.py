"""SARIF 2.1.0, which code scanning services read: what the logs of all commands share (OASIS, sarif-v2.1.0)."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

from formation.entry import encode_path

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"

Level = Literal["error", "warning", "note"]
"""How bad a result is, as services show it."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def sarif_log(run: Mapping[str, Any]) -> dict[str, Any]:
    """The log of one `run` of a tool."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def sarif_rule(id_: str, title: str, why: str, fix: str, level: Level) -> dict[str, Any]:
    """What a service shows about the rule `id_`. `level` is that of most of its results."""
    return {
        "id": id_,
        "shortDescription": {"text": title},
        "fullDescription": {"text": why},
        "help": {"text": fix},
        "defaultConfiguration": {"level": level},
    }


def sarif_result(rule: str, number: int, level: Level, message: str, location: Mapping[str, Any]) -> dict[str, Any]:
    """A result of `rule`, which is the `number`th of the run's rules, from 0."""
    return {
        "ruleId": rule,
        "ruleIndex": number,
        "level": level,
        "message": {"text": printable(message)},
        "locations": [location],
    }


def sarif_file(path: str) -> dict[str, Any]:
    """The address of the file `path`, a relative one, whatever bytes are in it."""
    return {"uri": quote(encode_path(path))}


def printable(text: str) -> str:
    """`text` without what neither JSON nor XML in UTF-8 can have."""
    return _UNPRINTABLE.sub("�", text)
