"""Files that are written in one step."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from formation.files import atomic_file, output_file, write_bytes


def test_an_error_names_the_file_that_was_asked_for_and_leaves_nothing(tmp_path):
    directory = tmp_path / "directory"
    (directory / "full").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        write_bytes(directory, b"x")
    assert caught.value.filename == str(directory)
    assert [each.name for each in tmp_path.iterdir()] == ["directory"]


def test_an_error_of_a_file_that_cannot_be_made_names_it_too(tmp_path):
    path = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="File name too long") as caught:
        write_bytes(path, b"x")
    assert caught.value.filename == str(path)


def test_a_full_disk_is_told_with_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught:
        write(Path("/dev/full"), b"x" * 1_000_000)
    assert caught.value.filename == "/dev/full"
    with pytest.raises(OSError, match="No space left") as caught, atomic_file(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a")


def write(path, data):
    with output_file(path) as file:
        file.write(data)


def test_a_pipe_that_a_person_has_named_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as other:
        reading = other.submit(pipe.read_bytes)
        write(pipe, b"x" * 100_000)
        assert reading.result() == b"x" * 100_000
    assert pipe.is_fifo()
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("there", [True, False])
def test_what_a_link_leads_to_is_replaced_in_one_step_and_the_link_stays(tmp_path, there):
    file, link = tmp_path / "file", tmp_path / "link"
    if there:
        file.write_bytes(b"before")
    link.symlink_to(file)
    with pytest.raises(RuntimeError), output_file(link) as opened:
        opened.write(b"half")
        raise RuntimeError
    assert file.exists() == there
    assert not there or file.read_bytes() == b"before"
    write(link, b"x")
    assert link.is_symlink()
    assert file.read_bytes() == b"x"


def test_a_link_that_leads_to_itself_is_an_error_with_its_name(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links") as caught:
        write(link, b"x")
    assert caught.value.filename == str(link)


def test_a_file_that_a_person_has_named_is_replaced_in_one_step(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"before")
    with pytest.raises(RuntimeError), output_file(file) as opened:
        opened.write(b"after")
        raise RuntimeError
    assert file.read_bytes() == b"before"
    write(file, b"after")
    assert file.read_bytes() == b"after"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_what_a_person_asked_for_is_as_open_as_the_umask_says(tmp_path, umask, expected):
    before = os.umask(umask)
    try:
        write(tmp_path / "asked", b"x")
        write_bytes(tmp_path / "ours", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "asked").stat().st_mode & 0o777 == expected
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o644
