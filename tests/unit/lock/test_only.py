"""What a minimal variant takes has to be among the packages of what it extends, and the lock tells."""

import pytest

from formation.errors import DefinitionError
from formation.lock.check import staleness

MINIMAL = "variants:\n  min:\n    only:\n      - libc6\n      - {name}\n"
TWO = "architectures: [amd64, arm64]\n"


def test_a_package_of_what_it_extends_can_be_taken(published):
    definition = published.define("curl", MINIMAL.format(name="libcurl4"))
    assert staleness(definition, published.lock(definition)) is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("libcurl5", "did you mean 'libcurl4'?"),
        ("nosuch", "name packages that `formation why PACKAGE` knows there"),
        # The archive has it, and what min extends does not.
        ("gdb", "name packages that `formation why PACKAGE` knows there"),
    ],
)
def test_a_name_that_is_none_is_told_with_its_line_when_the_lock_is_made(published, name, hint):
    definition = published.define("curl", MINIMAL.format(name=name))
    with pytest.raises(DefinitionError) as caught:
        published.lock(definition)
    file = published.base / "formation.yaml"
    assert caught.value.message == f"{file}:12: `only` of min names {name}, which runtime does not have"
    assert caught.value.hint == hint


def test_a_name_that_is_none_is_told_although_the_lock_is_fresh(published):
    lock = published.lock(published.define("curl", MINIMAL.format(name="libcurl4")))
    definition = published.define("curl", MINIMAL.format(name="libcurl5"))
    assert lock.definition == definition.digest
    with pytest.raises(DefinitionError, match=r"formation\.yaml:12: `only` of min names libcurl5"):
        staleness(definition, lock)


def test_a_lock_that_lacks_the_package_as_yet_is_stale_first(published):
    lock = published.lock(published.define("curl"))
    definition = published.define("curl gdb", MINIMAL.format(name="gdb"))
    assert staleness(definition, lock) == "it has no package for gdb, which runtime asks for"


def test_a_package_of_one_architecture_is_none_of_the_others(workshop):
    workshop.publish(architectures=("amd64", "arm64"))
    definition = workshop.define("curl gdb:amd64", TWO + MINIMAL.format(name="gdb"))
    with pytest.raises(DefinitionError, match="`only` of min names gdb, which runtime does not have on arm64"):
        workshop.lock(definition)
