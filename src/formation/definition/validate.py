"""Plain data against the model: every wrong value becomes a problem, and what is right goes on to the next checks."""

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from formation.definition.data_path import DataPath
from formation.definition.model import Identity
from formation.definition.problems import Invalid, Problem, definition_error, nearest
from formation.definition.schema import KINDS, keys_at, model_schema
from formation.definition.source import INTEGER_DIGITS, Source

Model = TypeVar("Model", bound=Identity)

_PLACEHOLDERS = {"name": "unnamed", "version": "0.0.0", "base": "unnamed:0.0.0"}
"""Stand in for a required key that is missing or wrong, so that the rest can be checked. Never leave this package."""

_DIGITS = re.compile(r"-?[1-9][0-9]*")

_BOOLEANS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
"""What YAML 1.1 reads as a boolean, and quotes make a text; all in small letters."""

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


class Validated(Generic[Model]):
    """A model, and the way back from its values to the document's."""

    def __init__(self, source: Source, model: type[Model]) -> None:
        """The `source` as a `model`, one of KINDS.

        Raises DefinitionError when so much is wrong that nothing can be checked further.
        """
        self.problems: list[Problem] = []
        self._source = source
        self._model = model
        self._kept: dict[DataPath, list[int]] = {}
        """For each list that lost items, the original index of each that is left. Keys are original paths."""
        self._data = self._without_nulls(source.data, ())
        self.model = self._validate()

    def original(self, path: DataPath) -> DataPath:
        """The path in the document of the value at `path` of the model."""
        result: DataPath = ()
        for part in path:
            if isinstance(part, int) and result in self._kept:
                part = self._kept[result][part]
            result = (*result, part)
        return result

    def place(self, path: DataPath) -> str:
        """`FILE:LINE` of the value at `path` of the model."""
        return f"{self._source.name}:{self._source.position(self.original(path)).line}"

    def _without_nulls(self, value: Any, path: DataPath) -> Any:
        """A copy of `value` in which nothing is shared, and keys and items without a value are gone."""
        if isinstance(value, dict):
            self._report_nulls(value.items(), path)
            return {key: self._without_nulls(item, (*path, key)) for key, item in value.items() if item is not None}
        if isinstance(value, list):
            self._report_nulls(enumerate(value), path)
            present = [index for index, item in enumerate(value) if item is not None]
            if len(present) < len(value):
                self._kept[path] = present
            return [self._without_nulls(value[index], (*path, index)) for index in present]
        return value

    def _report_nulls(self, items: Any, path: DataPath) -> None:
        for key, item in items:
            if item is None:
                self.problems.append(Problem((*path, key), f"{label((*path, key))} has no value", "leave it out"))

    def _validate(self) -> Model:
        if not isinstance(self._data, dict):
            reason = f"a definition is a mapping of keys, not {_kind(self._data)}"
            hint = "it begins with `kind: base` or `kind: service`"
            raise definition_error(self._source, [Problem((), reason, hint)])
        # The first look finds all that is wrong. Setting that aside can make a list too short, and that the item
        # around it incomplete: these are no problems of the document, and levels of nesting bound how often it happens.
        for look in range(8):
            try:
                return self._model.model_validate(self._data)
            except ValidationError as error:
                self._set_aside(error, report=look == 0)
        raise definition_error(self._source, self.problems)

    def _set_aside(self, error: ValidationError, *, report: bool) -> None:
        schema = model_schema(self._model) if report else {}
        removals: set[DataPath] = set()
        for detail in error.errors(include_url=False):
            path: DataPath = detail["loc"]
            if path[-1:] == ("[key]",):
                path = path[:-1]
            if report and not (detail["type"] == "missing" and self._keep_null(self.original(path))):
                self.problems.append(_problem(self.original(path), path, detail, schema))
            # An item without a key that it needs cannot stand; a definition can, with a placeholder.
            removals.add(path[:-1] if detail["type"] == "missing" and len(path) > 1 else path)
        for path in sorted(removals, key=_removal_order, reverse=True):
            self._remove(path)

    def _keep_null(self, path: DataPath) -> bool:
        """Whether the key at `path`, which must be there, is, without a value: then it is not to be left out."""
        for index, problem in enumerate(self.problems):
            if problem.path == path:
                self.problems[index] = Problem(path, problem.reason)
                return True
        return False

    def _remove(self, path: DataPath) -> None:
        *parents, last = path
        container: Any = self._data
        for part in parents:
            container = container[part]
        if path == ("kind",):
            container[last] = next(kind for kind, model in KINDS.items() if model is self._model)
        elif len(path) == 1 and last in _PLACEHOLDERS and last in self._model.model_fields:
            container[last] = _PLACEHOLDERS[str(last)]
        elif isinstance(container, list) and isinstance(last, int):
            kept = self._kept.setdefault(self.original(path[:-1]), list(range(len(container))))
            del container[last], kept[last]
        else:
            del container[last]


def _removal_order(path: DataPath) -> tuple[tuple[int, str], ...]:
    """Sorts later items of a list, and what is inside a value, after what comes before or around it."""
    return tuple((part, "") if isinstance(part, int) else (0, part) for part in path)


def label(path: DataPath) -> str:
    """`users[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _problem(path: DataPath, model_path: DataPath, detail: Mapping[str, Any], schema: dict[str, Any]) -> Problem:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    hint: str | None
    cause = context.get("error")
    if isinstance(cause, Invalid):
        return Problem(path, cause.reason, cause.hint)
    if kind == "extra_forbidden":
        known = keys_at(schema, model_path[:-1])
        place = f" in {label(path[:-1])}" if len(path) > 1 else ""
        hint = nearest(str(path[-1]), known) or f"known keys are {', '.join(sorted(known))}"
        if path[0] == "variants" and len(path) == 3 and path[-1] in keys_at(schema, ()):
            hint = "it is a key of the top level"
        return Problem(path, f"unknown key {path[-1]!r}{place}", hint)
    if kind == "missing":
        place = label(path[:-1]) or "the definition"
        return Problem(path[:-1], f"{place} needs the key {path[-1]!r}")
    if kind == "literal_error":
        words = list(KINDS) if path == ("kind",) else re.findall(r"'([^']*)'", context["expected"])
        hint = nearest(str(value), words) or f"one of {', '.join(words)}"
        return Problem(path, f"{label(path)} cannot be {value!r}", hint)
    if kind == "int_type" and isinstance(value, str) and _DIGITS.fullmatch(value):
        # `source` reads numbers of up to 18 digits; so a shorter one is in quotes.
        digits = len(value.lstrip("-"))
        if digits > INTEGER_DIGITS:
            return Problem(path, f"{label(path)} is a number of {digits} digits, which is too large")
        return Problem(path, f"{label(path)} must be a whole number, not the text {value!r}", f"write {value}")
    if kind in _TYPES:
        hint = f'write "{_plain(value)}"' if kind == "string_type" and isinstance(value, (int, bool)) else None
        if kind == "bool_type" and isinstance(value, str) and (meant := _BOOLEANS.get(value.lower())):
            hint = f"write {meant}"
        return Problem(path, f"{label(path)} must be {_TYPES[kind]}, not {_kind(value)}", hint)
    if kind == "too_short":
        # A command that is text is a list by now.
        least = context["min_length"]
        what = f"needs at least {least} characters" if isinstance(value, str) and least > 1 else "must not be empty"
        return Problem(path, f"{label(path)} {what}")
    return Problem(path, f"{label(path)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return f"{_plain(value)}"
    if value is None:
        return "nothing"
    return f"the number {value}" if isinstance(value, int) else f"the text {str(value)[:60]!r}"
