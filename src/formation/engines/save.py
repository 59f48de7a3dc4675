"""Taking an image from an engine."""

import subprocess
from pathlib import Path

from formation.engines.engine import Engine, error_file, text_of
from formation.oci.reference import Reference


def save(engine: Engine, reference: Reference, path: Path) -> None:
    """Writes the engine's image `reference` to the new file `path` as a docker-archive.

    Raises FormationError when the engine is missing or does not have the image, UnreachableError when it is not
    running.
    """
    with error_file() as errors, path.open("xb") as file:
        process = engine.start("save", str(reference), stdin=subprocess.DEVNULL, stdout=file, stderr=errors)
        if process.wait() != 0:
            raise engine.failure(f"save {reference}", text_of(errors))
