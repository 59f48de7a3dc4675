"""Whether somebody would miss a package."""

import pytest

from formation.install.vanishing import dependencies, dependent, is_needed


def control(name: str, version: str = "1", **fields: str) -> bytes:
    own = {"Package": name, "Version": version, "Architecture": "all"}
    more = {key.replace("_", "-"): value for key, value in fields.items()}
    return "".join(f"{key}: {value}\n" for key, value in (own | more).items()).encode()


OLD = dependent(control("old", Provides="service (= 3)"))


@pytest.mark.parametrize("field", ["Depends", "Pre_Depends", "Recommends"])
@pytest.mark.parametrize("text", ["old", "old (>= 1)", "absent | old", "service", "absent, old:any"])
def test_a_package_is_needed_by_those_that_name_it_or_what_it_provides(field: str, text: str) -> None:
    assert is_needed(OLD, [dependent(control("user", **{field: text})), dependent(control("other"))])


@pytest.mark.parametrize("text", ["old | new", "old", "old | other (>= 2)", "absent", ""])
def test_a_package_is_not_needed_where_another_one_will_do(text: str) -> None:
    new = dependent(control("new", Provides="old"))
    other = dependent(control("other", "2", Suggests="old", Enhances="old"))
    assert not is_needed(OLD, [dependent(control("user", Depends=text)), new, other])


def test_what_is_provided_without_a_version_is_not_enough_for_one() -> None:
    user = dependent(control("user", Depends="old (>= 1)"))
    assert is_needed(OLD, [user, dependent(control("new", Provides="old"))])
    assert not is_needed(OLD, [user, dependent(control("new", Provides="old (= 1)"))])


def test_a_package_depends_on_what_those_that_it_depends_on_depend_on_but_not_on_what_is_recommended() -> None:
    others = [
        dependent(control("direct", Pre_Depends="service")),
        dependent(control("behind", Provides="service", Depends="direct, more")),
        dependent(control("more", "2")),
        dependent(control("nice")),
        dependent(control("above", Depends="old")),
    ]
    found = dependencies(dependent(control("old", Depends="absent | direct", Recommends="nice")), others)
    assert found == {"direct", "behind", "more"}
