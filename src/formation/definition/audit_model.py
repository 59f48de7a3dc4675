"""The shape of the section `audit` of a formation.yaml: what of its findings is accepted, and why."""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from formation.definition import grammar
from formation.definition.audit_exceptions import CHECK_IDS, AuditException
from formation.definition.data_path import DataPath
from formation.definition.model_parts import Entry, text_like
from formation.definition.problems import Invalid, nearest

_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _check(text: str) -> str:
    if text not in CHECK_IDS:
        raise Invalid(
            f"there is no check {text!r}", nearest(text, CHECK_IDS) or "docs/audit.md lists them: setuid-file"
        )
    return text


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise Invalid(f"{text!r} is not a pattern of absolute paths", "begin with a slash: /usr/lib/openssh/*")
    return text


def _date(text: str) -> str:
    try:
        if not re.fullmatch(_DATE, text):
            raise ValueError
        date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text!r} is not a day", "write it as 2027-01-31") from None
    return text


class AuditExceptionEntry(Entry):
    """Findings of `formation audit` that are accepted, for a while."""

    check: Annotated[str, AfterValidator(_check), WithJsonSchema({"enum": list(CHECK_IDS)})] = Field(
        description="Id of the check: setuid-file. docs/audit.md lists them."
    )
    path: Annotated[str, AfterValidator(_path), text_like("^/")] | None = Field(
        default=None, description="Pattern of paths: /usr/lib/openssh/*. When not given, whatever it finds."
    )
    reason: Annotated[str, AfterValidator(grammar.one_line), Field(min_length=10)] = Field(
        description="Why it is accepted; every report shows it."
    )
    until: Annotated[str, AfterValidator(_date), text_like(_DATE)] = Field(
        description="The last day on which it holds: 2027-01-31. After it the findings are back."
    )


class AuditEntry(Entry):
    """What `formation audit` accepts in the image."""

    exceptions: list[AuditExceptionEntry] = Field(default=[], description="Findings that are accepted, for a while.")


def exceptions_from(
    entry: AuditEntry | None, path: DataPath, place: Callable[[DataPath], str]
) -> tuple[AuditException, ...]:
    """The exceptions that `entry`, at `path` of the document, describes; `place` tells the line of a value."""
    if entry is None:
        return ()
    return tuple(
        AuditException(
            each.check, each.path, each.reason, date.fromisoformat(each.until), place((*path, "exceptions", index))
        )
        for index, each in enumerate(entry.exceptions)
    )
