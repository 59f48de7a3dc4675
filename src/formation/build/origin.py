"""Which commit a definition is from, as Git tells: for the labels `revision` and `source` of its image."""

import hashlib
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from formation.dataclass import dataclass

_PATIENCE = 5
"""Seconds after which a repository that does not answer counts as none."""
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a service's definition comes from, as far as anybody knows."""

    revision: str | None = None
    """The commit."""
    source: str | None = None
    """A URL."""

    @property
    def key(self) -> str:
        """Its part in the name of a build: equal keys, equal labels."""
        return hashlib.sha256(repr((self.revision, self.source)).encode()).hexdigest()[:16]


def ask_origin(directory: Path, environment: Mapping[str, str]) -> Callable[[], Origin]:
    """Starts to find `origin_of` out; calling what it gives waits for it. So the caller can do something meanwhile."""
    config = _Git(directory, environment, "config", "--get", "remote.origin.url")
    status = _Git(directory, environment, "status", "--porcelain", "--untracked-files=no", "--", ".")
    log = _Git(directory, environment, "log", "-1", "--format=%H", "--", ".")

    def answer() -> Origin:
        url, changes, commit = config.answer(), status.answer(), log.answer()
        known = changes == "" and commit is not None and _COMMIT.fullmatch(commit)
        return Origin(commit if known else None, _source(url))

    return answer


def origin_of(directory: Path, environment: Mapping[str, str]) -> Origin:
    """The last commit that changed `directory`, and the address of its repository's remote `origin`.

    Without the commit where a file that Git tracks was edited since: then no commit has what is built. Nothing at all
    where Git is missing, there is no repository, or it belongs to somebody else. The commit is that of the directory,
    not that of the repository, so that the image of one service stays as it is when another one changes.
    """
    return ask_origin(directory, environment)()


class _Git:
    """A question that Git is at work on."""

    def __init__(self, directory: Path, environment: Mapping[str, str], *words: str) -> None:
        # Reading must neither write the index nor start what a repository's configuration names.
        command = ["git", "-c", "core.fsmonitor=false", "--no-optional-locks", "-C", str(directory), *words]
        self._running: subprocess.Popen[str] | None = None
        try:
            self._running = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=dict(environment),
            )
        except OSError:
            pass

    def answer(self) -> str | None:
        """What Git answers; None when it cannot."""
        if self._running is None:
            return None
        with self._running as running:
            try:
                answer, _ = running.communicate(timeout=_PATIENCE)
            except (subprocess.TimeoutExpired, UnicodeDecodeError):
                running.kill()
                return None
        return answer.strip() if running.returncode == 0 else None


def _source(url: str | None) -> str | None:
    """The address as a label can have it: a URL without a login; None for what is none."""
    if url is None:
        return None
    # git@host:path is how ssh is written for short.
    short = re.fullmatch(r"(?:[^@/:\s]+@)?([^/:\s]+):(?!//)(\S+)", url)
    parts = urlsplit(f"ssh://{short[1]}/{short[2]}" if short else url)
    try:
        if parts.scheme not in ("https", "http", "ssh", "git") or not parts.hostname:
            return None
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
