"""`formation diff` as a person types it."""

import json
import re
from dataclasses import replace

import pytest

from formation.cli.context import Context
from formation.cli.main import run
from formation.errors import MalformedError
from formation.oci.descriptor import Descriptor
from formation.oci.layout import write_layout
from formation.oci.media_types import OCI_MANIFEST
from formation.oci.reference import parse_reference
from formation.store.blobs import add_bytes
from formation.store.images import tag_image
from layer_tars import directory, file
from sound_image import STATUS, TOOL, sound_image
from tiny_images import tiny_image


@pytest.fixture
def with_layouts(formation):
    """The command line beside oci:old and oci:new, which differ in a bit of everything."""
    new = sound_image(
        [
            file("var/lib/dpkg/status", STATUS.replace("1.0-1", "1.0-2").encode()),
            directory("var/log/formation", 0o700, 999, 999),
            file("usr/bin/\x1b[31mevil`", b"x", mode=0o755),
        ]
    )
    write_layout(formation.directory / "old", sound_image(), None)
    write_layout(formation.directory / "new", new, None)
    return formation


def test_the_text_tells_what_changed_under_a_heading_for_each_kind(with_layouts):
    result = with_layouts("diff", "oci:old", "oci:new")
    assert result.code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("old  oci:old  ")
    assert "packages: 1 upgraded" in lines
    assert "  ~ tool 1.0-1 → 1.0-2" in lines
    assert "  ~ /var/log/formation: mode 0750 → 0700" in lines
    assert "  + �[31mevil`" in lines
    assert "note: no changelog of tool: no package of theirs is pinned by a lock" in lines
    assert "\x1b" not in result.stdout


def test_layers_that_stay_are_counted_of_those_of_the_new_image(with_layouts):
    directory = with_layouts.directory
    write_layout(directory / "a", sound_image([file("etc/a", b"a")]), None)
    write_layout(directory / "b", sound_image([file("etc/b", b"b")]), None)
    (line,) = (line for line in with_layouts("diff", "oci:a", "oci:b").stdout.splitlines() if "the same: " in line)
    assert line.strip().startswith("the same: 1 of 2, ")


def test_an_image_has_no_difference_from_itself(with_layouts):
    assert with_layouts("diff", "oci:old", "oci:old").stdout.splitlines()[-1] == "no difference"
    assert "No difference." in with_layouts("diff", "oci:old", "oci:old", "--markdown").stdout


def test_a_size_that_is_not_compressed_is_said_to_be_so(with_layouts):
    for name, compression in (("plain", "none"), ("small", "gzip")):
        write_layout(with_layouts.directory / name, tiny_image(compression=compression), None)
    (line,) = (line for line in with_layouts("diff", "oci:small", "oci:plain").stdout.splitlines() if "size " in line)
    assert re.match(r"size [0-9.]+ k?B → [0-9.]+ k?B uncompressed; ", line)


def test_colours_are_for_terminals(with_layouts):
    import io

    out = io.StringIO()
    context = Context(
        {"FORMATION_STORE": "store", "PATH": ""}, with_layouts.directory, 0, out, io.StringIO(), True, False, True
    )
    assert run(["diff", "oci:old", "oci:new", "--no-changelogs"], context) == 0
    assert "\x1b[33m  ~ tool 1.0-1 → 1.0-2\x1b[0m" in out.getvalue()


def test_markdown_means_nothing_but_itself(with_layouts):
    text = with_layouts("diff", "oci:old", "oci:new", "--markdown", "--no-changelogs").stdout
    assert text.startswith("## oci:old → oci:new\n\nsize ")
    assert "### Packages: 1 upgraded\n\n- tool 1.0-1 → 1.0-2\n" in text
    assert "- added: �\\[31mevil\\`\n" in text


def test_everything_is_data(with_layouts):
    data = json.loads(with_layouts("diff", "oci:old", "oci:new", "--json").stdout)
    (package,) = data["packages"]
    assert (package["kind"], package["old"]["version"], package["new"]["version"]) == ("upgraded", "1.0-1", "1.0-2")
    assert {"topic": "directory", "kind": "changed", "name": "/var/log/formation", "attribute": "mode", "old": "0750", "new": "0700"} in data["changes"]  # fmt: skip # noqa: E501
    assert {file["path"] for file in data["files"]} >= {"/var/lib/dpkg/status", "/var/log/formation"}
    assert [layer["kind"] for layer in data["layers"]] == ["kept", "added"]


def test_a_name_that_is_neither_image_nor_lock_is_an_error(with_layouts):
    (with_layouts.directory / "empty").mkdir()
    assert with_layouts("diff", "oci:old", "empty").code == 2
    assert "there is no lock" in with_layouts("diff", "empty", "oci:old").stderr


def test_an_image_that_is_named_as_a_file_is_told_how(with_layouts):
    (with_layouts.directory / "new.tar").write_bytes(b"")
    for name, hint in (("new", "oci:new"), ("new.tar", "docker-archive:new.tar")):
        result = with_layouts("diff", "oci:old", name)
        assert result.code == 2
        assert result.stderr.endswith(f"error: {name} is no lock, but looks like an image\nhint: name it {hint}\n")


@pytest.mark.parametrize(
    "said", [{"Shell": 5}, {"OnBuild": True}, {"Healthcheck": {"Test": ["CMD", "x"], "StartInterval": 10**400}}]
)
def test_a_config_that_no_engine_could_read_is_refused_with_its_key(with_layouts, said):
    image, store = sound_image(), with_layouts.store
    config, manifest = json.loads(image.config_bytes), json.loads(image.manifest_bytes)
    config["config"] |= said
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": add_bytes(store, data), "size": len(data)}
    hostile = json.dumps(manifest).encode()
    tag_image(store, parse_reference("x/y:1"), Descriptor(OCI_MANIFEST, add_bytes(store, hostile), len(hostile)))
    result = with_layouts("diff", "oci:old", "x/y:1", "--no-changelogs")
    assert (result.code, result.stdout) == (MalformedError.exit_code, "")
    assert re.search(r"^error: image config, config(, Healthcheck)?: \w+ is no.*$", result.stderr, re.MULTILINE)


def test_files_of_packages_with_other_rights_are_named(formation):
    entry, data = file("usr/bin/tool", TOOL, mode=0o755)
    capable = replace(entry, xattrs=(("security.capability", b"\x01"), ("user.note", b"1")))
    noted = replace(entry, xattrs=(("user.note", b"2"),))
    for name, upper in {"old": capable, "new": entry, "noted": noted}.items():
        write_layout(formation.directory / name, sound_image([(upper, data)]), None)
    shown = formation("diff", "oci:old", "oci:new", "--no-changelogs").stdout
    assert "  ~ /usr/bin/tool: capabilities 01 → no capabilities\n    1 of tool\n" in shown
    assert "  ~ /usr/bin/tool: attributes\n" in formation("diff", "oci:new", "oci:noted", "--no-changelogs").stdout
