"""The commit that a definition is from."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import require_tool
from formation.build.origin import Origin, origin_of

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


class Repository:
    """Two services in one repository."""

    def __init__(self, top: Path) -> None:
        self.git_program = require_tool("git")
        self.top = top
        for name in ("one", "two"):
            (top / name).mkdir(parents=True)
            (top / name / "formation.yaml").write_text("x")
        self.git("init", "--quiet")
        self.commit()

    def git(self, *words: str) -> str:
        command = [self.git_program, "-C", self.top, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        return self.git("rev-parse", "HEAD")

    def origin(self, name: str) -> Origin:
        return origin_of(self.top / name, ENVIRONMENT)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_it_is_the_last_commit_that_changed_the_directory(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    (repository.top / "two/more").write_text("")
    second = repository.commit()
    assert repository.origin("one") == Origin(first, None)
    assert repository.origin("two").revision == second != first


def test_an_edited_file_has_no_commit_and_an_untracked_one_is_none_of_its_business(repository: Repository) -> None:
    (repository.top / "one/target").write_text("built")
    assert repository.origin("one").revision is not None
    (repository.top / "one/formation.yaml").write_text("edited")
    assert repository.origin("one").revision is None
    assert repository.origin("two").revision is not None


def test_without_a_repository_or_git_nothing_is_known(repository: Repository, tmp_path_factory) -> None:
    assert origin_of(tmp_path_factory.mktemp("plain"), {**ENVIRONMENT, "GIT_CEILING_DIRECTORIES": "/"}) == Origin()
    assert origin_of(repository.top / "one", {"PATH": "/nonexistent"}) == Origin()


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://example.com/team/x.git", "https://example.com/team/x.git"),
        ("https://user:secret@example.com:8443/x", "https://example.com:8443/x"),
        ("https://example.com/x?token=secret#f", "https://example.com/x"),
        ("git@example.com:team/x.git", "ssh://example.com/team/x.git"),
        ("ssh://git@example.com/x", "ssh://example.com/x"),
        ("/srv/git/x", None),
        ("../x", None),
        ("file:///srv/x", None),
        ("https://example.com:port/x", None),
    ],
)
def test_the_source_is_the_remote_without_its_login(repository: Repository, remote: str, source: str | None) -> None:
    repository.git("config", "remote.origin.url", remote)
    assert repository.origin("one").source == source


def test_what_the_configuration_of_a_repository_names_is_not_started(repository: Repository) -> None:
    repository.git("config", "core.fsmonitor", f"touch {repository.top}/started; false")
    assert repository.origin("one").revision is not None
    assert not (repository.top / "started").exists()
