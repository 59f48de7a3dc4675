"""The text of a lock, and what else people, merges and attackers put there."""

import dataclasses
import os
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.digest import sha256
from formation.errors import DefinitionError, UsageError
from formation.lock.lockfile import as_file, file_text, lock_digest, lock_path, lock_text, parse_lock, read_lock
from formation.lock.model import Lock, LockedPackage, LockedSuite

GOLDEN = Path(__file__).parent / "golden" / "formation.lock"

SUITE = LockedSuite(
    archive="debian",
    uri="http://deb.debian.org/debian",
    suite="trixie",
    components=("main", "contrib"),
    sha256=sha256(b"InRelease"),
    date=1_795_252_544,
    valid_until=None,
    signed_by="04B54C3CDCA79751B16BC6B5225629DF75B188BD",
)
CURL = LockedPackage(
    name="curl",
    version="8.14.1-2+deb13u2",
    architecture="amd64",
    source="curl",
    source_version="8.14.1-2+deb13u2",
    sha256=sha256(b"curl"),
    size=270_000,
    installed_size=506,
    archive="debian",
    suite="trixie",
    path="pool/main/c/curl/curl_8.14.1-2+deb13u2_amd64.deb",
    variants=("runtime",),
    because="requested",
    essential=False,
)
LIBC = dataclasses.replace(
    CURL,
    name="libc6",
    version="1:2.41-12",
    source="glibc",
    path="pool/main/g/glibc/libc6_2.41-12_amd64.deb",
    because="curl Depends",
    essential=True,
)
DATA = dataclasses.replace(
    CURL, name="tzdata", architecture="all", because="libc6 Recommends", variants=("debug", "dev")
)
LOCK = Lock(sha256(b"definition"), 1_795_252_544, (SUITE,), {"amd64": (CURL, LIBC, DATA)})
TEXT = lock_text(LOCK)
NAME = "base/formation.lock"


def line_of(text: str, start: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if line.startswith(start))


def refused(text: str) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        parse_lock(text, NAME)
    return caught.value


def test_a_lock_reads_as_people_review_it():
    if os.environ.get("REWRITE_GOLDENS") == "1":
        GOLDEN.write_text(file_text(LOCK))
    assert GOLDEN.read_text() == file_text(LOCK)


def test_the_text_of_a_lock_gives_the_lock_again():
    assert parse_lock(TEXT, NAME) == LOCK
    assert lock_text(parse_lock(TEXT, NAME)) == TEXT


def test_a_file_has_the_digest_of_what_images_carry():
    text = file_text(LOCK)
    assert text.replace(f'checksum = "{lock_digest(TEXT)}"\n', "") == TEXT
    assert parse_lock(text, NAME) == LOCK


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(TEXT[TEXT.index('\n[[package]]\nname = "libc6"') :], "", id="lost"),
        pytest.param(
            "[[suite]]", TEXT[TEXT.index('[[package]]\nname = "tz') :].replace("tz", "az") + "\n[[suite]]", id="added"
        ),
        pytest.param(f'version = "{LIBC.version}"', 'version = "1:2.40-1"', id="swapped"),
        pytest.param('variants = ["runtime"]', 'variants = ["dev"]', id="moved"),
        pytest.param("essential = true\n", "", id="not essential"),
    ],
)
def test_an_edit_that_reads_well_is_noticed_all_the_same(old, new):
    text = file_text(LOCK)
    assert old in text
    assert parse_lock(TEXT.replace(old, new), NAME) != LOCK
    error = refused(text.replace(old, new))
    line = line_of(text, "checksum")
    assert error.message == f"{NAME}:{line}: the lock was edited, or merged badly: the checksum is of another one"
    assert error.hint == "write it anew: formation lock base"


def test_a_file_without_its_checksum_is_refused(tmp_path):
    path = tmp_path / "formation.lock"
    path.write_text(TEXT)
    with pytest.raises(DefinitionError) as caught:
        read_lock(path)
    assert caught.value.message == f"{path}:1: the lock has no checksum: it was edited, or merged badly"
    assert caught.value.hint == f"write it anew: formation lock {tmp_path}"


def test_what_an_image_carries_can_be_a_file_again():
    assert as_file(TEXT) == file_text(LOCK)
    odd = "# of another formation\n" + TEXT.replace("\n\n", "\n\n\n")
    assert parse_lock(as_file(odd), NAME, has_checksum=True) == LOCK


def test_a_lock_is_toml():
    data = tomllib.loads(TEXT)
    assert [package["name"] for package in data["package"]] == ["curl", "libc6", "tzdata"]
    assert data["epoch"] == datetime.fromtimestamp(LOCK.epoch, UTC)
    assert data["package"][0]["path"] == CURL.path
    assert data["package"][1]["essential"] is True
    assert data["suite"][0]["components"] == ["main", "contrib"]


def test_a_package_for_all_is_one_entry_for_every_architecture():
    lock = dataclasses.replace(LOCK, packages={"amd64": (CURL, DATA), "arm64": (DATA,)})
    text = lock_text(lock)
    assert text.count('name = "tzdata"') == 1
    assert "only_on" not in text
    assert parse_lock(text, NAME) == lock


def test_a_package_for_all_that_one_architecture_has_says_so():
    lock = dataclasses.replace(LOCK, packages={"amd64": (DATA,), "arm64": ()})
    assert 'only_on = ["amd64"]' in lock_text(lock)
    assert parse_lock(lock_text(lock), NAME) == lock


def test_entries_in_another_order_are_the_same_lock():
    head, *entries = file_text(LOCK).split("\n[[package]]\n")
    shuffled = "\n[[package]]\n".join(
        [head.rstrip("\n") + "\n", *(entry.rstrip("\n") + "\n" for entry in entries[::-1])]
    )
    assert parse_lock(shuffled, NAME) == LOCK


def test_the_digest_of_a_lock_is_of_its_bytes():
    assert lock_digest(TEXT) == sha256(TEXT.encode())


def test_the_lock_is_beside_the_definition(tmp_path):
    assert lock_path(tmp_path / "formation.yaml") == tmp_path / "formation.lock"


def test_a_missing_lock_says_how_to_have_one(tmp_path):
    with pytest.raises(UsageError, match="there is no lock") as caught:
        read_lock(tmp_path / "formation.lock")
    assert caught.value.hint == f"formation lock {tmp_path}"


def test_a_lock_that_is_a_directory_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="Is a directory"):
        read_lock(tmp_path)


def test_a_lock_that_is_not_text_names_the_line(tmp_path):
    path = tmp_path / "formation.lock"
    path.write_bytes(b"# one\n# \xff\n")
    with pytest.raises(DefinitionError, match=r"formation\.lock:2: this is not UTF-8 text"):
        read_lock(path)


def test_a_merge_conflict_is_named_and_the_hint_writes_the_lock_anew():
    text = TEXT.replace('version = "8.14', '<<<<<<< HEAD\nversion = "8.14', 1)
    error = refused(text)
    assert error.message == f"{NAME}:{line_of(text, '<<<<<<<')}: a merge conflict was left in it"
    assert error.hint == "write it anew: formation lock base"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (f'sha256 = "{CURL.sha256}"', 'sha256 = "sha256:00"', "sha256 is not a digest"),
        (f'sha256 = "{CURL.sha256}"', "sha256 = 12", "sha256 is not a digest"),
        (f'path = "{CURL.path}"', 'path = "pool/../../etc/shadow"', "path is not a path inside the archive"),
        (f'path = "{CURL.path}"', 'path = "/etc/shadow"', "path is not a path inside the archive"),
        (f'path = "{CURL.path}"', 'path = "https://evil.example/x.deb"', "path is not a path inside the archive"),
        (f'path = "{CURL.path}"', r'path = "pool\\..\\x"', "path is not a path inside the archive"),
        (f'path = "{CURL.path}"', 'path = ""', "path is not a path inside the archive"),
        ("size = 270000", "size = -1", "'-1' is not a value that formation lock writes"),
        ("size = 270000", 'size = "270000"', "size is not a number"),
        ("size = 270000", "size = true", "size is not a number"),
        ("size = 270000", "size = 1e9", "'1e9' is not a value that formation lock writes"),
        ('name = "curl"', 'name = "../curl"', "name is not the name of a package"),
        ('name = "curl"', 'name = "curl', "is not a value that formation lock writes"),
        ('name = "curl"', 'name = "curl\\u001b[2J"', "is not a value that formation lock writes"),
        ('name = "curl"', "name = '''curl'''", "is not a value that formation lock writes"),
        ('variants = ["runtime"]', "variants = []", "variants is not a list of text"),
        ('variants = ["runtime"]', "variants = [1]", "is not a value that formation lock writes"),
        ('variants = ["runtime"]', 'variants = ["runtime", "runtime"]', "variants has a word twice"),
        ('variants = ["runtime"]', "variants = " + "[" * 5000, "is not a value that formation lock writes"),
        ('because = "requested"', 'because = "I like it"', "because is not a reason to be here"),
        ('architecture = "amd64"', 'architecture = "arm64"', "this lock is not for arm64"),
        ('suite = "trixie"\npath', 'suite = "sid"\npath', "this lock has no suite sid of debian"),
        ("date = 2026", "date = 9999-99-99T00:00:00Z #", "is not a value that formation lock writes"),
        ("date = 2026-11-21", "date = 2026-13-21", "is not a time"),
        ("epoch = 2026-11-21T09:15:44Z", 'epoch = "now"', "epoch is not a time"),
        ("size = 270000", "size = 270000\nsize = 270000", "size is there already, in line"),
        ("size = 270000", "colour = 1\nsize = 270000", "this package has an unknown 'colour'"),
        ("[[suite]]", "[[sweet]]", "a lock has no 'sweet'"),
        ("[[suite]]", "[suite]", "'[suite]' is not a line that formation lock writes"),
        ("signed_by = ", "signed_by= ", "is not a line that formation lock writes"),
    ],
)
def test_what_formation_lock_would_not_write_is_refused_with_its_line(old, new, reason):
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    error = refused(text)
    assert reason in error.message
    line = int(error.message.removeprefix(f"{NAME}:").partition(":")[0])
    changed = next(
        number
        for number, pair in enumerate(zip(text.split("\n"), TEXT.split("\n"), strict=False), 1)
        if pair[0] != pair[1]
    )
    assert changed <= line <= changed + 2


def test_a_value_that_is_missing_is_told_with_the_line_of_its_entry():
    text = TEXT.replace(f'sha256 = "{LIBC.sha256}"\n', "", 2)
    assert refused(text).message == f"{NAME}:{line_of(text, '[[package]]')}: this package has no sha256"


def test_an_empty_lock_is_refused():
    assert refused("").message == f"{NAME}:1: the lock has no format"


def test_a_package_twice_is_refused_with_both_lines():
    entry = TEXT[TEXT.index("[[package]]") : TEXT.index("[[package]]", TEXT.index("[[package]]") + 1)]
    error = refused(TEXT + "\n" + entry)
    first = line_of(TEXT, "[[package]]")
    assert error.message.endswith(f"the package curl is there already, in line {first}")


def test_a_lock_of_a_newer_format_says_to_update():
    error = refused(TEXT.replace("format = 1", "format = 2"))
    assert error.message.endswith(":3: its format is 2, and this formation reads 1")
    assert error.hint == "update formation, or write it anew: formation lock base"


def test_comments_and_empty_lines_are_allowed():
    assert parse_lock(file_text(LOCK).replace("[[package]]", "# reviewed\n\n[[package]]"), NAME) == LOCK


@given(st.integers(0, len(TEXT)), st.integers(0, 200), st.text(max_size=40))
def test_whatever_a_damaged_lock_holds_the_error_is_clear(start, length, instead):
    text = TEXT[:start] + instead + TEXT[start + length :]
    try:
        parse_lock(text, NAME)
    except DefinitionError as error:
        assert error.message.startswith(f"{NAME}:")
        assert error.hint
    else:
        # What it accepts is TOML, or TOML but for what tomllib forbids in a comment.
        if all(line.isprintable() for line in text.split("\n")):
            tomllib.loads(text)
