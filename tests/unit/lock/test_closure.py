"""A definition without the essential packages has to bring what every build needs."""

from pathlib import Path

import pytest

from formation.definition.load import load_definition
from formation.errors import DefinitionError
from formation.lock.closure import check_closure
from formation.lock.model import Lock, LockedPackage

TEXT = """\
kind: base
name: test/bare
version: 1.0.0
distribution: debian/trixie
architectures: [amd64, arm64]
essential: {essential}
packages: [hello{more}]
"""
DEV = "variants:\n  dev: {packages: [dpkg, base-passwd]}\n"


def locked(name: str, variant: str = "runtime") -> LockedPackage:
    return LockedPackage(
        name, "1", "all", name, "1", f"sha256:{name}", 1, 1, "debian", "trixie", "p", (variant,), "requested", False
    )


def check(directory: Path, essential: str, packages: dict[str, tuple[LockedPackage, ...]], more: str = "") -> None:
    (directory / "formation.yaml").write_text(TEXT.format(essential=essential, more=more) + ("" if more else DEV))
    check_closure(load_definition(directory), Lock("sha256:0", 0, (), packages))


def test_what_is_missing_is_told_with_its_line_for_each_architecture(tmp_path: Path):
    whole = (locked("base-passwd"), locked("dpkg"), locked("hello"))
    later = (locked("base-passwd", "dev"), locked("dpkg"), locked("hello"))
    with pytest.raises(DefinitionError) as caught:
        check(tmp_path, "false", {"amd64": whole, "arm64": later})
    assert caught.value.message.startswith(
        f"{tmp_path}/formation.yaml:6: no base-passwd is among the packages for arm64, and it makes root"
    )
    assert caught.value.hint == "add `base-passwd` to packages:, or leave `essential: false` out"
    with pytest.raises(DefinitionError) as caught:
        check(tmp_path, "false", {"amd64": (), "arm64": later})
    assert [line.count("no dpkg is among") for line in caught.value.message.splitlines()[::2]] == [1, 0, 0]


@pytest.mark.parametrize("essential", ["true", "false"])
@pytest.mark.parametrize("name", ["dpkg", "base-passwd"])
def test_what_a_build_needs_cannot_be_left_out(tmp_path: Path, essential: str, name: str):
    rest = tuple(locked(each) for each in ("base-passwd", "dpkg") if each != name)
    with pytest.raises(DefinitionError) as caught:
        check(tmp_path, essential, {"amd64": rest, "arm64": (*rest, locked(name))}, f", -{name}")
    assert caught.value.message.startswith(
        f"{tmp_path}/formation.yaml:7: no {name} is among the packages for amd64, and "
    )
    assert caught.value.hint == f"take `-{name}` out of packages:"


def test_a_definition_with_the_essential_packages_has_what_its_archive_calls_so(tmp_path: Path):
    check(tmp_path, "true", {"amd64": (), "arm64": ()})
    whole = (locked("base-passwd"), locked("dpkg"))
    check(tmp_path, "false", {"amd64": whole, "arm64": whole})
