"""Which overrides of dpkg are in force for a package."""

from pathlib import Path

import pytest

from formation.debian.statoverrides import FILE
from formation.errors import FormationError
from formation.install.overrides import Overrides
from formation.install.view import TreesView


def overrides(tree: Path, text: str) -> Overrides:
    for path, content in {FILE: text, "etc/passwd": "mail:x:8:8::/:/x\n", "etc/group": "adm:x:4:\n"}.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
    return Overrides(TreesView([tree]))


def test_paths_count_as_the_package_writes_them_and_owners_as_the_image_knows_them(tmp_path: Path) -> None:
    found = overrides(tmp_path, "mail adm 4755 /bin/a\n#7 #9 2770 /srv\nnobody adm 755 /usr/bin/other\n")
    assert found.of(["/.", "/srv", "/bin/a", "/usr/bin/a"]) == (("bin/a", 0o4755, 8, 4), ("srv", 0o2770, 7, 9))


def test_an_owner_that_the_image_lacks_ends_the_build_as_it_ends_dpkg(tmp_path: Path) -> None:
    found = overrides(tmp_path, "nobody adm 755 /usr/bin/a\n")
    assert found.of(["/usr/bin/b"]) == ()
    with pytest.raises(FormationError, match="told that /usr/bin/a belongs to nobody:adm, but the image has no user"):
        found.of(["/usr/bin/a"])


def test_a_number_without_its_mark_is_a_name(tmp_path: Path) -> None:
    found = overrides(tmp_path, "8 adm 755 /usr/bin/a\n")
    with pytest.raises(FormationError, match="belongs to 8:adm, but the image has no user '8'"):
        found.of(["/usr/bin/a"])


@pytest.mark.parametrize("line", ["#9999999999 root 0644 /opt/v", "#4294967295 root 0644 /x", "root root 77755 /x", ""])
def test_a_line_that_dpkg_does_not_take_ends_the_build_as_it_ends_dpkg(tmp_path: Path, line: str) -> None:
    with pytest.raises(FormationError, match=f"/{FILE} has the line '{line}', and dpkg installs nothing"):
        overrides(tmp_path, f"mail adm 755 /opt/w\n{line}\n")


def test_an_image_without_overrides_has_none(tmp_path: Path) -> None:
    assert Overrides(TreesView([tmp_path])).of(["/srv"]) == ()
