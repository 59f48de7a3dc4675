"""Files that are written in one step."""

import pytest

from formation.files import write_bytes


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
