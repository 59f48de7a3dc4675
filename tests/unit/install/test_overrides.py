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


def test_an_image_without_overrides_has_none(tmp_path: Path) -> None:
    assert Overrides(TreesView([tmp_path])).of(["/srv"]) == ()
