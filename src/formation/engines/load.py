"""Giving an image to an engine."""

import subprocess
from typing import IO, cast

from formation.engines.engine import Engine, error_file, text_of
from formation.oci.archive import write_archive
from formation.oci.image import Image
from formation.oci.reference import Reference


def load(image: Image, reference: Reference, engine: Engine) -> None:
    """Makes `image` known to `engine` as `reference`, through a pipe: no archive is kept. Idempotent.

    Its digest is the same there, unless Podman gets an image with a health check: it takes those only from images in
    Docker's format.

    Raises FormationError when the engine is missing or refuses, UnreachableError when it is not running, and
    IntegrityError when a blob of `image` is wrong.
    """
    layout = engine.name != "podman" or image.config.execution.health_check is None
    with error_file() as errors:
        process = engine.start("load", "--quiet", stdin=subprocess.PIPE, stdout=errors, stderr=errors)
        try:
            with cast(IO[bytes], process.stdin) as pipe:
                write_archive(pipe, image, [reference], layout=layout)
        except BrokenPipeError:
            # The engine ended early; its exit code and errors tell why.
            pass
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait() != 0:
            raise engine.failure(f"load {reference}", text_of(errors))
