"""Running one command in a container of an image, for checks: alone, without network, and not for long."""

import secrets
import subprocess
import threading
from collections.abc import Sequence
from typing import IO, Final, cast

from formation.engines.engine import Engine, error_file, text_of
from formation.errors import FormationError

LONGEST: Final = 60
"""Seconds that a command may take."""
MOST_OUTPUT: Final = 1 << 20
"""Bytes of output that are read."""

_ENGINE_FAILED = 125
"""What `docker run` and `podman run` end with when it is the engine that failed (docker-run(1), "Exit status")."""


def run_command(engine: Engine, image: str, command: Sequence[str], user: str | None) -> tuple[int, str]:
    """Exit code of `command` in a new container of `image`, and what it wrote to stdout and stderr.

    `image` is what the engine knows it by; `user` None is the image's own. The container has no network, no
    capabilities, and is gone afterwards. Raises FormationError when the engine cannot start it, or it takes more than
    LONGEST seconds.
    """
    name = f"formation-verify-{secrets.token_hex(8)}"
    options = ["--rm", "--name", name, "--network", "none", "--cap-drop", "ALL"]
    options += ["--security-opt", "no-new-privileges", "--entrypoint", command[0]]
    options += ["--user", user] if user is not None else []
    with error_file() as output:
        process = engine.start(
            "run", *options, image, *command[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output
        )
        timer = threading.Timer(LONGEST, process.kill)
        timer.start()
        try:
            # stderr goes to a file that ends up below stdout: a check looks for lines, not for their order.
            text = _read(cast(IO[bytes], process.stdout))
            process.wait()
        finally:
            late = not timer.is_alive()
            timer.cancel()
            process.kill()
            process.wait()
        errors = text_of(output)
    if late:
        remove_container(engine, name)
        raise FormationError(f"it took more than {LONGEST} seconds")
    if process.returncode == _ENGINE_FAILED:
        raise engine.failure("run it", errors)
    return process.returncode, text + errors


def remove_container(engine: Engine, name: str) -> None:
    """Ends and removes the container `name`. Idempotent."""
    with error_file() as errors:
        engine.start("rm", "--force", name, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors).wait()


def remove_tag(engine: Engine, reference: str) -> None:
    """Makes the engine forget the image `reference`. Idempotent."""
    with error_file() as errors:
        engine.start("rmi", reference, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors).wait()


def _read(stream: IO[bytes]) -> str:
    """The start of what a command prints; the rest is read too, so that it does not wait."""
    data = stream.read(MOST_OUTPUT)
    while stream.read(MOST_OUTPUT):
        pass
    return data.decode(errors="replace")
