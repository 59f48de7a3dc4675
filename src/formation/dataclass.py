"""The standard `dataclass` in a quarter of the time: a command makes up to a hundred of them before it does anything.

Python compiles six functions for each frozen dataclass. Here it compiles one, `__init__`; all classes share the rest.
Everything of `dataclasses` works with the result: `field`, `fields`, `replace`, `asdict`. See docs/adr/0011.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from operator import attrgetter
from typing import TYPE_CHECKING, Any

Fields = tuple[Field[Any], ...]


def _dataclass(*, frozen: bool = False, slots: bool = False, **options: Any) -> Callable[[type], type]:
    """As `dataclasses.dataclass`. What is not frozen, has no slots or is ordered is left to it."""
    if frozen and slots and options.keys() <= {"eq"}:
        return lambda cls: _frozen(cls, **options)
    return dataclasses.dataclass(frozen=frozen, slots=slots, **options)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass


def _frozen(cls: type, *, eq: bool = True) -> type:
    own = vars(cls)
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)
    made.__init__ = _initializer(made, fields)
    made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete
    # copy and pickle would set the fields one by one.
    made.__getstate__, made.__setstate__ = _state, _set_state
    if "__repr__" not in own:
        made.__repr__ = _shown
    if eq and "__eq__" not in own:
        made.__eq__, made.__hash__ = _comparison(fields)
    return made  # type: ignore[no-any-return]


def _initializer(cls: type, fields: Fields) -> Callable[..., None]:
    """`__init__`, which sets each field by the descriptor of its slot: nothing else may.

    A field without a place in it is left to `__post_init__`.
    """
    names: dict[str, Any] = {"_MISSING": MISSING}
    usual, by_name, body = ["self"], list[str](), list[str]()
    for field in fields:
        if not field.init:
            continue
        name = value = field.name
        default = ""
        names[f"_set_{name}"] = getattr(cls, name).__set__
        if field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            default = f"=_default_{name}"
        elif field.default_factory is not MISSING:
            names[f"_make_{name}"] = field.default_factory
            default, value = "=_MISSING", f"_make_{name}() if {name} is _MISSING else {name}"
        (by_name if field.kw_only else usual).append(f"{name}{default}")
        body.append(f"    _set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("    self.__post_init__()")
    parameters = ", ".join([*usual, "*", *by_name] if by_name else usual)
    exec("\n".join([f"def __init__({parameters}):", *body, "    return None"]), names)
    made = names["__init__"]
    made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    return made  # type: ignore[no-any-return]


def _comparison(fields: Fields) -> tuple[Callable[[object, object], bool], Callable[[object], int]]:
    """`__eq__` and `__hash__`: as those of the tuples of the fields that take part in each."""
    key = _values([field.name for field in fields if field.compare])
    hashed = _values([field.name for field in fields if (field.compare if field.hash is None else field.hash)])

    def __eq__(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:
        return hash(hashed(self))

    return __eq__, __hash__


def _values(names: list[str]) -> Callable[[object], tuple[Any, ...]]:
    """What gives the fields of these names as a tuple, which `attrgetter` does for more than one."""
    return attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)


def _shown(self: Any) -> str:
    values = ", ".join(
        f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr
    )
    return f"{self.__class__.__qualname__}({values})"


def _refuse_to_set(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
