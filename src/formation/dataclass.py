"""The standard `dataclass` in a tenth of the time: a command makes up to a hundred of them before it does anything.

Python compiles six functions for each frozen dataclass. Here it compiles one, `__init__`, when the first value is made;
all classes share the rest. `dataclasses` itself, with `inspect` behind it, is imported when somebody asks it about such
a class: its `fields`, `replace` and `asdict` work. See docs/adr/0011.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

_MISSING: Final[Any] = object()
"""There is no default."""
_OPTIONS: Final = ("init", "repr", "hash", "compare", "kw_only")
_DEFAULTS: Final = ("default", "default_factory")
_ODD: Final = ("ClassVar", "InitVar", "KW_ONLY")


class _Field:
    """A field as it was written; the options are those of `dataclasses.field`."""

    __slots__ = (*_OPTIONS, *_DEFAULTS, "name", "type")

    def __init__(
        self,
        *,
        default: Any = _MISSING,
        default_factory: Any = _MISSING,
        init: bool = True,
        repr: bool = True,  # noqa: A002 - these are the names of the standard one
        hash: bool | None = None,  # noqa: A002
        compare: bool = True,
        kw_only: bool = False,
    ) -> None:
        self.default, self.default_factory = default, default_factory
        self.init, self.repr, self.hash, self.compare, self.kw_only = init, repr, hash, compare, kw_only
        self.name, self.type = "", _MISSING

    def standard(self) -> Any:
        """The same of `dataclasses`."""
        import dataclasses

        options = {name: getattr(self, name) for name in _OPTIONS}
        defaults = {name: getattr(self, name) for name in _DEFAULTS}
        options |= {name: value for name, value in defaults.items() if value is not _MISSING}
        return dataclasses.field(**options)


def _dataclass(*, frozen: bool = False, slots: bool = False, **options: Any) -> Callable[[type], type]:
    """As `dataclasses.dataclass`. What is not frozen, has no slots, is ordered or inherits fields is left to it."""
    if frozen and slots and options.keys() <= {"eq"}:
        return lambda cls: _frozen(cls, **options) if _is_usual(cls) else _standard(cls, frozen, slots, options)
    return lambda cls: _standard(cls, frozen, slots, options)


def _replace(value: Any, /, **changes: Any) -> Any:
    """As `dataclasses.replace`."""
    fields = vars(type(value)).get("__dataclass_fields__")
    if not isinstance(fields, _OfTwin):
        import dataclasses

        return dataclasses.replace(value, **changes)
    kept = {each.name: getattr(value, each.name) for each in fields.twin.own if each.init and each.name not in changes}
    return type(value)(**kept, **changes)


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace
else:
    dataclass, field, replace = _dataclass, _Field, _replace


class _Twin:
    """The same class as the standard one makes it, made when somebody asks for it."""

    def __init__(self, own: Sequence[_Field]) -> None:
        self.own = own
        self._made: Any = None

    def made(self, owner: type) -> Any:
        """The twin of `owner`."""
        if self._made is None:
            import dataclasses

            names = {"__annotations__": {each.name: each.type for each in self.own}, "__module__": owner.__module__}
            names |= {each.name: each.standard() for each in self.own}
            self._made = dataclasses.dataclass(frozen=True, eq=False)(type(owner.__name__, (), names))
        return self._made


class _OfTwin:
    """An attribute that `dataclasses` looks for, as the twin has it."""

    def __init__(self, name: str, twin: _Twin) -> None:
        self.name, self.twin = name, twin

    def __get__(self, value: object, owner: type) -> Any:
        return getattr(self.twin.made(owner), self.name)


def _standard(cls: type, frozen: bool, slots: bool, options: dict[str, Any]) -> type:
    import dataclasses

    for name, value in list(vars(cls).items()):
        if isinstance(value, _Field):
            setattr(cls, name, value.standard())
    return dataclasses.dataclass(frozen=frozen, slots=slots, **options)(cls)


def _is_usual(cls: type) -> bool:
    """Whether all fields are its own, and nothing but fields is annotated."""
    return not any("__dataclass_fields__" in vars(base) for base in cls.__mro__) and not any(
        odd in str(kind) for kind in _annotations(cls).values() for odd in _ODD
    )


def _annotations(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = vars(cls).get("__annotations__", {})
    return found


def _frozen(cls: type, *, eq: bool = True) -> type:
    own = vars(cls)
    fields = [_field_of(name, kind, own.get(name, _MISSING)) for name, kind in _annotations(cls).items()]
    names = [each.name for each in fields]
    twin = _Twin(fields)
    get_state, set_state = _states(names)
    more: dict[str, Any] = {
        "__qualname__": cls.__qualname__,
        "__slots__": tuple(names),
        "__match_args__": tuple(each.name for each in fields if each.init and not each.kw_only),
        "__dataclass_fields__": _OfTwin("__dataclass_fields__", twin),
        "__dataclass_params__": _OfTwin("__dataclass_params__", twin),
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
        # copy and pickle would set the fields one by one.
        "__getstate__": get_state,
        "__setstate__": set_state,
    }
    if "__repr__" not in own:
        more["__repr__"] = _shower([each.name for each in fields if each.repr])
    if eq and "__eq__" not in own:
        more["__eq__"], more["__hash__"] = _comparison(fields)
    # A class has its slots from the beginning, so it is made once more.
    kept = {name: value for name, value in own.items() if name not in (*names, "__dict__", "__weakref__")}
    made: Any = type(cls)(cls.__name__, cls.__bases__, kept | more)

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        # Of a hundred classes that a command imports, it makes values of a few.
        made.__init__ = _initializer(made, fields)
        made.__init__(self, *arguments, **named)

    made.__init__ = __init__
    return made  # type: ignore[no-any-return]


def _field_of(name: str, kind: Any, default: Any) -> _Field:
    if type(default).__module__ == "dataclasses":
        default = _ours(default)
    field = default if isinstance(default, _Field) else _Field(default=default)
    if type(field.default).__hash__ is None:
        raise ValueError(f"all values would share the default of {name}: use `default_factory`")
    field.name, field.type = name, kind
    return field


def _ours(standard: Any) -> _Field:
    """The same as a field of `dataclasses`."""
    import dataclasses

    options = {name: getattr(standard, name) for name in (*_OPTIONS, *_DEFAULTS)}
    return _Field(**{name: value for name, value in options.items() if value is not dataclasses.MISSING})


def _initializer(cls: type, fields: Sequence[_Field]) -> Callable[..., None]:
    """`__init__`, which sets each field by the descriptor of its slot: nothing else may.

    A field without a place in it is left to `__post_init__`.
    """
    names: dict[str, Any] = {"_MISSING": _MISSING}
    usual, by_name, body = ["self"], list[str](), list[str]()
    for field in fields:
        if not field.init:
            continue
        name = value = field.name
        default = ""
        names[f"_set_{name}"] = getattr(cls, name).__set__
        if field.default is not _MISSING:
            names[f"_default_{name}"] = field.default
            default = f"=_default_{name}"
        elif field.default_factory is not _MISSING:
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


def _comparison(fields: Sequence[_Field]) -> tuple[Callable[[object, object], bool], Callable[[object], int]]:
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


def _shower(names: list[str]) -> Callable[[object], str]:
    """`__repr__`, which shows the fields of these names."""

    def __repr__(self: object) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({values})"

    return __repr__


def _refuse_to_set(self: object, name: str, value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _states(names: Sequence[str]) -> tuple[Callable[[object], list[Any]], Callable[[object, list[Any]], None]]:
    """`__getstate__` and `__setstate__` for the fields of these names. A class below may have other slots."""

    def __getstate__(self: object) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: object, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __getstate__, __setstate__
