"""Writing a version into a definition, and nothing else."""

from pathlib import Path

import pytest

from formation.errors import DefinitionError
from formation.release.definition_edit import with_version, write_version

TEXT = """\
# A base.
kind: base
name: formation/base   # not the version: 1.0.0
version: {}
packages:
  - {{name: x, version: 1.0.0}}
variants: {{dev: {{description: "version: 1.0.0"}}}}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1.0.0", "1.0.1"),
        ("1.0.0   # the tag", "1.0.1   # the tag"),
        ('"1.0.0"', '"1.0.1"'),
        ("'1.0.0'  # quoted", "'1.0.1'  # quoted"),
        ("1.0.0-rc.1", "1.0.1"),
        ("1.0.0  ", "1.0.1  "),
    ],
)
def test_only_the_version_changes(tmp_path: Path, before: str, after: str):
    path = tmp_path / "formation.yaml"
    path.write_text(TEXT.format(before))
    assert with_version(path, "1.0.1").decode() == TEXT.format(after)


def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path):
    path = tmp_path / "formation.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1.0.0\r\nkind: base\r\n")
    assert with_version(path, "1.0.1") == b"\xef\xbb\xbfversion: 1.0.1\r\nkind: base\r\n"
    path.write_bytes(b"kind: base\nversion: 1.0.0")
    assert with_version(path, "1.0.1") == b"kind: base\nversion: 1.0.1"


@pytest.mark.parametrize(
    "text",
    [
        "{kind: base, version: 1.0.0, name: x}\n",
        "kind: base\nversion:\n  1.0.0\n",
        "kind: base\nversion: &v 1.0.0\nlabels: {v: *v}\n",
        "kind: base\nname: x\n",
        'kind: base\n"version": >-\n  1.0.0\n',
    ],
)
def test_a_version_that_is_not_alone_on_its_line_is_left_to_people(tmp_path: Path, text: str):
    path = tmp_path / "formation.yaml"
    path.write_text(text)
    with pytest.raises(DefinitionError, match=r"formation\.yaml:[12]: the version is not alone on its line"):
        with_version(path, "1.0.1")
    assert path.read_text() == text


def test_the_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path):
    path, link = tmp_path / "real.yaml", tmp_path / "formation.yaml"
    path.write_text("version: 1.0.0\n")
    path.chmod(0o640)
    link.symlink_to("real.yaml")
    write_version(link, with_version(link, "1.0.1"))
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("version: 1.0.1\n", 0o640)
    assert link.is_symlink()
    assert list(tmp_path.glob(".*")) == []
