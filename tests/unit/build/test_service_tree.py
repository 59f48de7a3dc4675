"""What a service's image will hold, before it is built."""

from pathlib import Path

import pytest

from debs import file, hard_link, make_deb, symlink
from elves import elf_bytes
from formation.build.package_tree import package_nodes
from formation.build.service_tree import Listed, Node, collected_nodes, found, over, placed, resolved
from formation.definition.service_values import CollectedFile, Kind
from formation.errors import FormationError
from services import MERGED, node, tree


def collected(path: str, content: bytes = b"", **fields) -> CollectedFile:
    return CollectedFile(path, Kind.FILE, 0o755, "root", "root", len(content), content=content, **fields)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/bin/sh", "/usr/bin/dash"),
        ("/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
        ("/../../bin/./sh", "/usr/bin/dash"),
        ("/usr", "/usr"),
        ("/", "/"),
        ("/nothing", None),
        ("/loop/x", None),
        ("/dangling", None),
        ("/outside", "/usr/bin/dash"),
    ],
)
def test_a_look_up_follows_links_and_never_leaves_the_root(path, place):
    more = {"loop": "->loop", "dangling": "->/no/where", "outside": "->/../../../usr/bin/dash"}
    assert resolved(tree({**MERGED, **more}), path) == place


def test_a_file_is_placed_where_the_links_of_its_parents_lead():
    there = tree({**MERGED, "loop": "->loop"})
    assert placed(there, "/bin/new") == "/usr/bin/new"
    assert placed(there, "/bin/sh") == "/usr/bin/sh"
    assert placed(there, "/srv/not/there") == "/srv/not/there"
    assert placed(there, "/loop/x") is None


def test_a_package_with_lib_in_it_does_not_hide_the_link_of_the_base():
    whole = over({"lib": Node("directory"), "lib/libnew.so.1": node(b"new")}, tree(MERGED))
    assert whole.node("lib").type == "symlink"
    assert found(whole, "/usr/lib/libnew.so.1") is not None
    assert found(whole, "/lib/libnew.so.1") is not None


def test_what_is_written_over_a_file_of_the_base_counts():
    whole = over({"usr/bin/dash": node(b"other", 0o700)}, tree(MERGED))
    assert found(whole, "/bin/sh").mode == 0o700


def test_collected_files_bring_the_directories_above_them():
    nodes = collected_nodes([collected("/srv/app/run")])
    types = {path: each.type for path, each in nodes.items()}
    assert types == {"srv/app/run": "file", "srv/app": "directory", "srv": "directory"}


def test_the_end_of_a_large_program_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = elf_bytes(needed=("libz.so.1",))
    monkeypatch.setattr("formation.build.service_tree.ELF_START", 300)
    path = tmp_path / "program"
    path.write_bytes(data)
    nodes = collected_nodes([CollectedFile("/p", Kind.FILE, 0o755, "root", "root", len(data), local=path)])
    assert nodes["p"].elf.needed == ("libz.so.1",)


def test_a_source_that_cannot_be_read_is_an_error(tmp_path: Path):
    gone = CollectedFile("/p", Kind.FILE, 0o755, "root", "root", 1, local=tmp_path / "gone")
    with pytest.raises(FormationError, match=r"cannot read .*gone: No such file"):
        collected_nodes([gone])


def test_packages_tell_their_libraries_and_links(tmp_path: Path):
    library = elf_bytes(interpreter=None, soname="libnew.so.1", provides=("NEW_1",))
    deb = make_deb(
        tmp_path,
        "libnew1",
        architecture="amd64",
        files=[
            file("usr/lib/libnew.so.1.0", library),
            symlink("usr/lib/libnew.so.1", "libnew.so.1.0"),
            hard_link("usr/lib/libsame.so.1", "usr/lib/libnew.so.1.0"),
            file("usr/share/doc/libnew1/copyright", b"free\n"),
        ],
    )
    nodes = package_nodes([deb])
    assert nodes["usr/lib/libnew.so.1.0"].elf.provides == ("NEW_1",)
    assert nodes["usr/lib/libsame.so.1"].elf.soname == "libnew.so.1"
    assert nodes["usr/share/doc/libnew1/copyright"].elf is None
    assert found(Listed(nodes), "/usr/lib/libnew.so.1").elf.soname == "libnew.so.1"
