"""Reading JSON from outside: bounded in size and depth, one meaning only, every field checked for its type.

Parsers of the same bytes must not disagree on what an image is, so what RFC 8259 section 4 leaves open (duplicate
keys) and what Python adds (NaN, lone surrogates) is refused.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from formation.dataclass import dataclass
from formation.errors import MalformedError

MAXIMUM_SIZE = 4 << 20
"""Bytes of a manifest, index or config. Registries refuse manifests over 4 MiB (distribution-spec, push)."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class JsonObject:
    """A JSON object, and what it is called in messages. Every accessor raises MalformedError for a wrong type."""

    value: Mapping[str, Any]
    what: str

    def text(self, key: str) -> str:
        """The string at `key`, which must be there."""
        value = self.optional_text(key)
        return self._refuse(key, "is missing") if value is None else value

    def optional_text(self, key: str) -> str | None:
        """The string at `key`; None when it is missing or null."""
        value = self.value.get(key)
        return value if value is None or isinstance(value, str) else self._refuse(key, "is not a string")

    def size(self, key: str) -> int:
        """The count of bytes at `key`, which must be there."""
        value = self.value.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
            self._refuse(key, "is not a size in bytes")
        return value

    def optional_size(self, key: str) -> int | None:
        """The number at `key`, from 0; None when it is missing or null."""
        return None if self.value.get(key) is None else self.size(key)

    def flag(self, key: str) -> bool:
        """The boolean at `key`; False when it is missing or null."""
        value = self.value.get(key)
        return value if isinstance(value, bool) else value is not None and self._refuse(key, "is not true or false")

    def object(self, key: str) -> "JsonObject":
        """The object at `key`, which must be there."""
        value = self.optional_object(key)
        return self._refuse(key, "is missing") if value is None else value

    def optional_object(self, key: str) -> "JsonObject | None":
        """The object at `key`; None when it is missing or null."""
        value = self.value.get(key)
        if value is None:
            return None
        return (
            JsonObject(value, f"{self.what}, {key}") if isinstance(value, dict) else self._refuse(key, "is no object")
        )

    def objects(self, key: str) -> tuple["JsonObject", ...]:
        """The array of objects at `key`, in order; empty when it is missing or null."""
        return as_objects(self._array(key), f"{self.what}, {key}")

    def texts(self, key: str) -> tuple[str, ...]:
        """The array of strings at `key`, in order; empty when it is missing or null."""
        return self.optional_texts(key) or ()

    def optional_texts(self, key: str) -> tuple[str, ...] | None:
        """The array of strings at `key`, in order; None when it is missing or null."""
        if self.value.get(key) is None:
            return None
        values = self._array(key)
        if not all(isinstance(value, str) for value in values):
            self._refuse(key, "is not an array of strings")
        return tuple(values)

    def text_map(self, key: str) -> dict[str, str]:
        """The object of strings at `key`; empty when it is missing or null."""
        found = self.optional_object(key)
        if found is None:
            return {}
        if not all(isinstance(value, str) for value in found.value.values()):
            self._refuse(key, "is not an object of strings")
        return dict(found.value)

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of the object at `key`, sorted (Docker's way to write a set); empty when it is missing or null."""
        found = self.optional_object(key)
        return () if found is None else tuple(sorted(found.value))

    def _array(self, key: str) -> list[Any]:
        value = self.value.get(key)
        if value is None:
            return []
        return value if isinstance(value, list) else self._refuse(key, "is no array")

    def _refuse(self, key: str, why: str) -> NoReturn:
        raise MalformedError(f"{self.what}: {key} {why}")


def parse_object(data: bytes, what: str) -> JsonObject:
    """The JSON object that `data` is. Raises MalformedError; `what` begins its message."""
    value = _parse(data, what)
    if not isinstance(value, dict):
        raise MalformedError(f"{what}: it is no JSON object")
    return JsonObject(value, what)


def parse_objects(data: bytes, what: str) -> tuple[JsonObject, ...]:
    """The array of objects that `data` is. Raises MalformedError."""
    value = _parse(data, what)
    if not isinstance(value, list):
        raise MalformedError(f"{what}: it is no JSON array")
    return as_objects(value, what)


def as_objects(values: list[Any], what: str) -> tuple[JsonObject, ...]:
    """Each of `values` as a JsonObject. Raises MalformedError when one is something else."""
    if not all(isinstance(value, dict) for value in values):
        raise MalformedError(f"{what}: it is not an array of objects")
    return tuple(JsonObject(value, f"{what}[{number}]") for number, value in enumerate(values))


def _parse(data: bytes, what: str) -> Any:
    if len(data) > MAXIMUM_SIZE:
        raise MalformedError(f"{what}: {len(data)} bytes, and at most {MAXIMUM_SIZE} are accepted")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    # RecursionError: thousands of nested brackets; ValueError: syntax, encoding, or an integer of over 4300 digits.
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{what}: not valid JSON: {str(error)[:200]}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
