"""The files that record a definition in its image."""

from pathlib import Path

from formation.definition.image_files import apt_sources, dpkg_filters, key_file, keyring_path
from formation.definition.load import load_definition

TEXT = """kind: base
name: formation/test
version: 1.0.0
distribution: debian/trixie
archives:
  - {name: own, uri: "https://packages.example.com", suites: [a, b], components: [main, extra], keys: [keys/own.gpg],
     check_valid_until: false}
  - {name: signed, uri: "https://packages.example.com", suites: [a], keys: [debian-sid], signed_by: /usr/share/k.gpg}
  - {name: noble, uri: "https://packages.example.com", suites: [noble], keys: [ubuntu]}
leave_out: {documentation: true, manual_pages: false, locales: false}
"""


def test_every_archive_has_its_sources_and_keyring(tmp_path: Path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "own.gpg").write_bytes(b"key")
    (tmp_path / "formation.yaml").write_text(TEXT)
    debian, _, own, signed, noble = load_definition(tmp_path).archives

    assert apt_sources(own) == (
        "Types: deb\nURIs: https://packages.example.com\nSuites: a b\nComponents: main extra\n"
        "Signed-By: /etc/apt/keyrings/own.gpg\nCheck-Valid-Until: no\n"
    )
    assert [key_file(archive) for archive in (debian, own, signed)] == [None, "keys/own.gpg", None]
    assert [keyring_path(archive) for archive in (debian, signed, noble)] == [
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "/usr/share/k.gpg",
        "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    ]


def test_includes_stand_after_excludes_because_dpkg_heeds_the_last(tmp_path: Path):
    (tmp_path / "formation.yaml").write_text(
        "kind: base\nname: a\nversion: 1.0.0\ndistribution: debian/trixie\n"
        "leave_out: {manual_pages: false, locales: false}\n"
    )
    lines = dpkg_filters(load_definition(tmp_path)).splitlines()
    assert lines[0] == "path-exclude=/usr/share/doc/*"
    assert lines[-1] == "path-include=/usr/share/doc/*/copyright"


def test_nothing_left_out_is_an_empty_file(tmp_path: Path):
    (tmp_path / "formation.yaml").write_text(
        "kind: base\nname: a\nversion: 1.0.0\ndistribution: debian/trixie\n"
        "leave_out: {documentation: false, manual_pages: false, locales: false}\n"
    )
    assert dpkg_filters(load_definition(tmp_path)) == ""
