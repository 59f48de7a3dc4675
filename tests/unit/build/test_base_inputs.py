"""What tells whether a base has to be built again: the files that its definition names, wherever links lead."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from formation.build.base import inputs_of
from formation.build.plan import make_plan
from formation.build.recall import BuiltImage, recall, remember
from formation.definition.load import load_definition
from formation.lock.model import Lock
from formation.store.blobs import add_image
from formation.store.store import Store
from tiny_images import tiny_image

DEFINITION = """\
kind: base
name: formation/test
version: 1.0.0
architectures: [amd64]
archives:
  - {name: own, uri: 'http://example.com', suites: [stable], keys: [keys/own.asc]}
  - {name: its, uri: 'http://example.org', suites: [stable], keys: [its.asc], signed_by: /usr/share/keyrings/its.gpg}
packages: [hello]
files:
  - {path: /a, source: current/c}
  - {path: /b, source: link}
variants:
  dev:
    files: [{path: /d, source: d}]
"""
LOCK = Lock("sha256:0", 1_600_000_000, (), {"amd64": ()})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A link to the definition's directory, whose name is not UTF-8; all but `d` and `its.asc` is behind links, too."""
    real = tmp_path / os.fsdecode(b"real \xff")
    for name in ("v1/c", "v2/c", "keys-1/own.asc", "keys-2/own.asc", "d", "its.asc"):
        (real / name).parent.mkdir(parents=True, exist_ok=True)
        # Both have the same content: what a link leads to may only be refused, such as a file outside.
        (real / name).write_text("content")
    for name, target in (("current", "v1"), ("link", "v1/c"), ("keys", "keys-1")):
        (real / name).symlink_to(target)
    (real / "formation.yaml").write_text(DEFINITION)
    (tmp_path / "project").symlink_to(real.name)
    return tmp_path / "project"


@pytest.fixture
def is_recalled(project: Path, tmp_path: Path) -> Callable[[], bool]:
    """Whether a build of `project`, which was built, finds that nothing has changed."""
    store, image = Store(tmp_path / "store"), tiny_image()
    add_image(store, image)
    read = inputs_of(make_plan(load_definition(project), LOCK, "lock", "runtime", "amd64"))
    assert read is not None
    remember(store, "asked", BuiltImage(("formation/test:1.0.0",), image, 0, False), read)
    return lambda: recall(store, "asked") is not None


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def replace_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "the link to a source's directory leads elsewhere": lambda project: relink(project / "current", "v2"),
    "the link to a source's directory is gone": lambda project: (project / "current").unlink(),
    "the link to a source leads elsewhere": lambda project: relink(project / "link", "v2/c"),
    "the link to a source leads outside": lambda project: relink(project / "link", "/etc/hostname"),
    "the link to a source leads to a directory": lambda project: relink(project / "link", "v1"),
    "the link to a source leads to itself": lambda project: relink(project / "link", "link"),
    "the link to a source is gone": lambda project: (project / "link").unlink(),
    "a source is a pipe": lambda project: replace_by_a_pipe(project / "v1/c"),
    "a source has other content": lambda project: (project / "v1/c").write_text("other"),
    "the source of another variant is gone": lambda project: (project / "d").unlink(),
    "the link to keys leads elsewhere": lambda project: relink(project / "keys", "keys-2"),
    "a key has other content": lambda project: (project / "keys/own.asc").write_text("other"),
    "a key that a package brings has other content": lambda project: (project / "its.asc").write_text("other"),
    "a key that a package brings is gone": lambda project: (project / "its.asc").unlink(),
}


def test_a_base_is_recalled_while_nothing_changes(project: Path, is_recalled: Callable[[], bool]) -> None:
    assert is_recalled()
    (project / "d").write_text("only another variant has it")
    assert is_recalled()


@pytest.mark.parametrize("change", CHANGES)
def test_a_base_is_not_recalled_when(project: Path, is_recalled: Callable[[], bool], change: str) -> None:
    CHANGES[change](project)
    assert not is_recalled()


def test_a_base_is_not_recalled_when_its_directory_is_a_link_that_leads_elsewhere(
    project: Path, is_recalled: Callable[[], bool]
) -> None:
    (project.parent / "other").mkdir()
    for each in (project / name for name in ("v1", "keys-1")):
        each.resolve().rename(project.parent / "other" / each.name)
    relink(project, "other")
    assert not is_recalled()
    # Nor when all that it names is there, with the same content.
    for name in ("d", "its.asc"):
        (project / name).write_text("content")
    for name, target in (("current", "v1"), ("link", "v1/c"), ("keys", "keys-1")):
        (project / name).symlink_to(target)
    assert not is_recalled()


def test_what_goes_while_it_is_read_is_not_remembered(project: Path) -> None:
    plan = make_plan(load_definition(project), LOCK, "lock", "runtime", "amd64")
    (project / "its.asc").unlink()
    assert inputs_of(plan) is None
