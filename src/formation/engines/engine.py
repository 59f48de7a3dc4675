"""Docker and Podman on this machine, as programs that are run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from typing import IO, Literal

from formation.dataclass import dataclass
from formation.errors import FormationError, UnreachableError

EngineName = Literal["docker", "podman"]


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine, and the environment that its client runs in (DOCKER_HOST, PATH, …)."""

    name: EngineName
    environment: Mapping[str, str]

    def start(
        self, *arguments: str, stdin: int, stdout: IO[bytes] | int, stderr: IO[bytes]
    ) -> "subprocess.Popen[bytes]":
        """The client's process, begun with `arguments`. Raises FormationError when it is not installed."""
        program = shutil.which(self.name, path=self.environment.get("PATH"))
        if program is None:
            raise FormationError(
                f"{self.name} is not installed", hint=f"install it (on Debian: apt-get install {_PACKAGES[self.name]})"
            )
        return subprocess.Popen(
            [program, *arguments], stdin=stdin, stdout=stdout, stderr=stderr, env=dict(self.environment)
        )

    def failure(self, action: str, errors: str) -> FormationError:
        """What went wrong when the client ended with another code than 0 and wrote `errors`."""
        lines = [line.strip() for line in errors.splitlines() if line.strip()]
        last = lines[-1][:500] if lines else "it gave no reason"
        message = f"{self.name} cannot {action}: {last}"
        lowered = errors.lower()
        if "cannot connect to the docker daemon" in lowered or "connection refused" in lowered:
            return UnreachableError(message, hint=f"start it: systemctl start {self.name}")
        if "permission denied" in lowered and ".sock" in lowered:
            return FormationError(message, hint="let this user talk to Docker: add it to the group docker, or use sudo")
        return FormationError(message)


_PACKAGES: dict[EngineName, str] = {"docker": "docker.io", "podman": "podman"}


def error_file() -> IO[bytes]:
    """Where a client writes its errors: a file, since a pipe that nobody reads would stop it."""
    return tempfile.TemporaryFile()


def text_of(errors: IO[bytes]) -> str:
    """The end of what a client wrote."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - 8192))
    return errors.read().decode(errors="replace")
