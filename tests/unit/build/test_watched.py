"""What tells whether a service has to be built again."""

from pathlib import Path

import pytest

from formation.build.recall import shape
from formation.build.watched import watch
from formation.oci.reference import parse_reference
from formation.store.blobs import add_image
from formation.store.images import tag_image
from formation.store.store import Store
from services import service_in
from tiny_images import tiny_image
from trees import deep_below, make_deep

FILES = """\
files:
  - {path: /a, source: a}
  - {path: /share, source: share/}
  - {path: /t, source: t, variables: {x: y}}
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    directory = tmp_path / "service"
    (directory / "share").mkdir(parents=True)
    for name in ("a", "t", "share/x"):
        (directory / name).write_text("content")
    return directory


def test_the_base_s_tag_and_texts_with_variables_are_watched_by_their_content(service: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert watch(service_in(service, FILES), store) is None
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, tiny_image()))
    watched = watch(service_in(service, FILES), store)
    assert watched is not None
    record, text = watched.files
    assert record.parent == store.images and text == service / "t"
    assert watched.shapes.keys() == {service / "a", service / "share", service / "t"}


def test_a_deep_directory_of_texts_is_watched(service: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, tiny_image()))
    with deep_below(service):
        deep = make_deep(service / "share")
        (deep / "text").write_text("content")
        watched = watch(service_in(service, FILES.replace("share/}", "share/, variables: {x: y}}")), store)
        assert watched is not None
        assert deep / "text" in watched.files


@pytest.mark.parametrize(
    ("base", "is_told"),
    [("oci:../layout:1", True), ("docker-archive:../b.tar", True), ("docker://h.example/b:1", False)],
)
def test_a_base_in_a_file_can_be_watched_and_one_in_a_registry_cannot(
    service: Path, tmp_path: Path, base: str, is_told: bool
) -> None:
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout/index.json").write_text("{}")
    (tmp_path / "b.tar").write_text("tar")
    head = f"kind: service\nname: a/b\nversion: 1.0.0\nbase: {base}\n"
    assert (watch(service_in(service, FILES, head), Store(tmp_path / "store")) is not None) is is_told


def change_nothing(share: Path) -> None:
    (share / "x").write_text("other content, which is watched apart")


def add(share: Path) -> None:
    (share / "y").write_text("")


def remove(share: Path) -> None:
    (share / "x").unlink()


def make_executable(share: Path) -> None:
    (share / "x").chmod(0o755)


def replace_by_a_link(share: Path) -> None:
    (share / "x").unlink()
    (share / "x").symlink_to("z")


def replace_by_a_directory(share: Path) -> None:
    (share / "x").unlink()
    (share / "x").mkdir()


@pytest.mark.parametrize(
    ("change", "is_seen"),
    [
        (change_nothing, False),
        (add, True),
        (remove, True),
        (make_executable, True),
        (replace_by_a_link, True),
        (replace_by_a_directory, True),
    ],
)
def test_a_shape_changes_with_what_is_there_and_what_it_is(service: Path, change, is_seen: bool) -> None:
    before = shape(service / "share")
    change(service / "share")
    assert (shape(service / "share") != before) is is_seen


def test_a_link_that_leads_to_another_file_has_another_shape(service: Path) -> None:
    (service / "link").symlink_to("a")
    before = shape(service / "link")
    (service / "link").unlink()
    (service / "link").symlink_to("t")
    assert shape(service / "link") != before


def test_a_link_that_leads_to_itself_has_no_shape(service: Path) -> None:
    (service / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        shape(service / "link")


def test_the_keys_of_a_service_s_own_archives_are_watched(service: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, tiny_image()))
    (service / "own.asc").write_text("KEY")
    archives = "archives:\n  - {name: own, uri: 'http://example.com', suites: [s], keys: [own.asc]}\n"
    watched = watch(service_in(service, FILES + archives), store)
    assert watched is not None
    assert service / "own.asc" in watched.files and service / "own.asc" in watched.shapes
