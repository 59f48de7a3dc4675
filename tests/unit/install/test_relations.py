"""Whether the packages of a lock go together, as their own control files say."""

from pathlib import Path

import pytest

from formation.debian.database import PackageName
from formation.errors import UsageError
from formation.install.relations import check_relations
from formation.install.stages import StagePackage


def package(name: str, version: str = "1", architecture: str = "amd64", **fields: str) -> StagePackage:
    relations = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())
    control = {"control": f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{relations}".encode()}
    same = fields.get("Multi_Arch") == "same"
    return StagePackage(PackageName(name, architecture, same), version, name, Path("/"), control, ("/.",), 10)


def problems(*new: StagePackage, base: tuple[StagePackage, ...] = ()) -> list[str]:
    try:
        check_relations(new, (*base, *new))
    except UsageError as error:
        return error.message.removeprefix("the packages of the lock do not go together: ").split("; ")
    return []


def test_what_a_lock_lost_and_what_cannot_be_together_is_all_told() -> None:
    wget = package("wget", "1.25.0-2", Depends="libpsl5t64 (>= 0.16.0), libc6", Pre_Depends="dpkg")
    found = problems(wget, package("libc6"), package("a", Conflicts="b"), package("b", Breaks="libc6 (<< 2)"))
    assert found == [
        "wget 1.25.0-2 Pre-Depends: dpkg",
        "wget 1.25.0-2 Depends: libpsl5t64 (>= 0.16.0)",
        "a Conflicts: b, and there is b 1",
        "b Breaks: libc6 (<< 2), and there is libc6 1",
    ]
    with pytest.raises(UsageError) as caught:
        check_relations([wget], [wget])
    assert caught.value.hint == "the lock was edited, or merged badly: formation lock"


@pytest.mark.parametrize(
    ("relation", "other"),
    [
        ("x | y", package("y")),
        ("x (>= 2)", package("y", Provides="x (= 2)")),
        ("x", package("y", Provides="x")),
        ("x", package("y", Provides="x:amd64 (= 1)")),
        ("x:any (>= 1)", package("x", Multi_Arch="allowed")),
        ("x:any", package("y", Provides="x", Multi_Arch="allowed")),
        ("x:amd64", package("x")),
        ("x:native", package("x", architecture="all")),
        ("x [i386]", package("y")),
        ("x <cross>, y", package("y")),
    ],
)
def test_a_dependency_that_apt_takes_for_met_is(relation: str, other: StagePackage) -> None:
    assert problems(package("a", Depends=relation), other) == []
    assert problems(package("a", architecture="all", Depends=relation), base=(other,)) == []


@pytest.mark.parametrize(
    ("relation", "other"),
    [
        ("x (>= 2)", package("x")),
        ("x (>= 2)", package("y", Provides="x")),
        ("x:any", package("x")),
        ("x | y (<< 1)", package("y")),
    ],
)
def test_a_dependency_that_apt_takes_for_unmet_is(relation: str, other: StagePackage) -> None:
    assert problems(package("a", Depends=relation), other) == [f"a 1 Depends: {relation}"]


def test_no_package_is_its_own_rival_and_versions_count() -> None:
    mta = package("exim", Provides="mta", Conflicts="mta", Breaks="exim (<< 2)", Replaces="mta")
    assert problems(mta) == []
    assert problems(package("a", Breaks="x (<< 2)"), package("x", "2")) == []
    assert problems(package("a", Breaks="x (<< 2)"), package("y", Provides="x")) == []
    assert problems(mta, package("postfix", Provides="mta")) == ["exim Conflicts: mta, and there is postfix 1"]


def test_what_a_base_lacks_or_has_against_itself_is_not_looked_at() -> None:
    base = (package("old", Depends="gone", Conflicts="other"), package("other"))
    assert problems(package("new", Depends="old"), base=base) == []
    assert problems(package("new"), base=(*base, package("strict", Breaks="new (<< 2)"))) == [
        "strict Breaks: new (<< 2), and there is new 1"
    ]
