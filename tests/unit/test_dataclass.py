"""Ours against the standard one: the same class, made by each, must behave the same."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from typing import Any

import pytest

from formation import dataclass as ours
from formation.dataclass import dataclass

Maker = Callable[..., Callable[[type], type]]


def _point(maker: Maker) -> Any:
    @maker(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 2
        names: tuple[str, ...] = ()
        more: dict[str, int] = field(default_factory=dict, hash=False)
        note: str = field(default="", compare=False, repr=False)
        last: int = field(default=0, kw_only=True)

        @property
        def sum(self) -> int:
            return self.x + self.y

    return Point


@dataclass(frozen=True, slots=True)
class Kept:
    """At the top of a module, where pickle finds it."""

    name: str
    size: int = 0


class Below(Kept):
    """Adds no field."""

    __slots__ = ()


OURS, THEIRS = _point(dataclass), _point(dataclasses.dataclass)


def _behaviour(point: Any) -> list[object]:
    one, same = point(1, 2, ("a",), last=3), point(x=1, names=("a",), last=3, note="other")
    return [
        repr(one).partition(">.")[2],
        one == same,
        hash(one) == hash(same),
        one != point(1),
        one == (1, 2, ("a",), {}, "", 3),
        one.sum,
        asdict(replace(one, y=5, more={"a": 1})),
        [each.name for each in fields(point)],
        point.__match_args__,
        point.__slots__,
        point.__doc__,
        point(1).more is point(1).more,
        hash(one),
    ]


def test_it_behaves_as_the_standard_one() -> None:
    assert _behaviour(OURS) == _behaviour(THEIRS)


@pytest.mark.parametrize("point", [OURS, THEIRS])
@pytest.mark.parametrize("wrong", [(), (1, 2, (), {}, "", 3), (1, 2, (), {}, "", 3, 4)])
def test_wrong_arguments_are_refused(point: Any, wrong: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\)"):
        point(*wrong)


@pytest.mark.parametrize("point", [OURS, THEIRS])
def test_it_cannot_be_changed(point: Any) -> None:
    one = point(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    assert one.x == 1


def test_it_can_be_copied_and_pickled() -> None:
    for kept in (Kept("a", 2), Below("a", 2)):
        assert copy.copy(kept) == copy.deepcopy(kept) == pickle.loads(pickle.dumps(kept)) == kept


def test_a_field_of_ours_is_as_one_of_the_standard() -> None:
    @dataclass(frozen=True, slots=True)
    class Point:
        """A point with fields of ours."""

        x: int
        more: dict[str, int] = ours.field(default_factory=dict, hash=False)
        note: str = ours.field(default="", compare=False, repr=False)
        last: int = ours.field(default=0, kw_only=True)

    one = Point(1, note="a", last=2)
    assert repr(one).endswith("Point(x=1, more={}, last=2)")
    assert one == Point(1, last=2)
    assert ours.replace(one, x=3) == replace(one, x=3) == Point(3, last=2)
    assert (fields(Point)[2].compare, fields(Point)[3].kw_only, fields(one)[0].type) == (False, True, int)
    assert asdict(one) == {"x": 1, "more": {}, "note": "a", "last": 2}


def test_a_default_that_all_would_share_is_refused() -> None:
    with pytest.raises(ValueError, match="default of names"):

        @dataclass(frozen=True, slots=True)
        class Wrong:
            """Has a list."""

            names: list[str] = []  # noqa: RUF012


def test_what_inherits_fields_is_a_standard_one() -> None:
    @dataclass(frozen=True, slots=True)
    class Above:
        """Has one field."""

        x: int

    @dataclass(frozen=True, slots=True)
    class Below(Above):
        """Has another, and a list of its own."""

        names: list[str] = ours.field(default_factory=list)

    assert Below(1) == Below(1, []) != Below(2)
    assert ours.replace(Below(1), x=2) == Below(2)


def test_the_standard_one_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from formation.dataclass import dataclass, field, replace; before = 'dataclasses' in sys.modules\n"
        "@dataclass(frozen=True, slots=True)\nclass Point: x: int = field(default=1)\n"
        "assert replace(Point(), x=2) == Point(2); print(before, 'dataclasses' in sys.modules, repr(Point()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "False", "Point(x=1)"]


def test_its_own_methods_win() -> None:
    @dataclass(frozen=True, slots=True)
    class Named:
        """Has its own."""

        name: str
        length: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "length", len(self.name))

        def __repr__(self) -> str:
            return f"<{self.name}>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and other.name.lower() == self.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

    assert (repr(Named("abc")), Named("abc").length) == ("<abc>", 3)
    assert {Named("abc")} == {Named("ABC")}


def test_without_eq_each_is_only_itself() -> None:
    @dataclass(frozen=True, slots=True, eq=False)
    class Thing:
        """Compared by identity."""

        name: str

    thing = Thing("a")
    assert thing != Thing("a")
    assert len({thing, thing, Thing("a")}) == 2


def test_what_is_ordered_or_can_be_changed_is_a_standard_one() -> None:
    @dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        """Has an order."""

        number: int

    @dataclass(slots=True)
    class Counter:
        """Counts."""

        number: int = 0

    counter = Counter()
    counter.number += 1
    assert sorted([Ordered(2), Ordered(1)]) == [Ordered(1), Ordered(2)]
    assert counter == Counter(1)
