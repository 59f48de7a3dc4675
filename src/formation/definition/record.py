"""A checked service as JSON and back, so that an unchanged definition need not be checked again.

Checking takes a fifth of a second, most of it for importing pydantic; this takes a few milliseconds.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from formation.definition.service_values import ServiceDefinition

FORMAT = 3
"""Part of every record's name: a change of how definitions are read must raise it. Other fields are noticed."""


def encode(service: ServiceDefinition) -> bytes:
    """`service` as bytes."""
    return json.dumps(_plain(service), separators=(",", ":")).encode()


def decode(data: bytes) -> ServiceDefinition:
    """What `encode` made bytes of. Raises ValueError when they are something else."""
    try:
        found = _value(ServiceDefinition, json.loads(data))
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"not the record of a service: {error}") from None
    if not isinstance(found, ServiceDefinition):
        raise ValueError("not the record of a service")
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(each)] for key, each in value.items()]
    if isinstance(value, tuple | list | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def _value(kind: Any, plain: Any) -> Any:
    """The value of the annotated type `kind` that `plain` stands for."""
    if kind in (str, int, bool, NoneType):
        if not isinstance(plain, kind):
            raise TypeError(f"{plain!r:.50} is no {kind.__name__}")
        return plain
    if kind is bytes:
        return plain.encode("latin-1")
    if kind is Path:
        return Path(plain)
    if kind is date:
        return date.fromisoformat(plain)
    if is_dataclass(kind) and isinstance(kind, type):
        kinds = _kinds(kind)
        if kinds.keys() != plain.keys():
            raise KeyError(f"{kind.__name__} has other fields")
        return kind(**{name: _value(each, plain[name]) for name, each in kinds.items()})
    return _composed(kind, plain)


def _composed(kind: Any, plain: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal and plain in arguments:
        return plain
    if origin in (Union, UnionType):
        return _one_of(arguments, plain)
    if not isinstance(plain, list):
        raise TypeError(f"{plain!r:.50} is no list")
    if origin is tuple and arguments[1:] == (...,):
        return tuple(_value(arguments[0], each) for each in plain)
    if origin is frozenset:
        return frozenset(_value(arguments[0], each) for each in plain)
    if origin is tuple:
        return tuple(_value(each, part) for each, part in zip(arguments, plain, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {_value(arguments[0], key): _value(arguments[1], each) for key, each in plain}
    raise TypeError(f"no value of the type {kind} can be kept")


def _one_of(kinds: tuple[Any, ...], plain: Any) -> Any:
    """What is None is None; else plain values are themselves, and one other kind is left."""
    if plain is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    if type(plain) in others:
        return plain
    (kind,) = others
    return _value(kind, plain)


@cache
def _kinds(kind: type) -> Mapping[str, Any]:
    """The annotated types of a dataclass's fields."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
