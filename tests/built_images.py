"""`formation` as a process, and the images that it left in a store."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import Docker, Podman
from formation.definition.load import load_definition
from formation.definition.values import Definition
from formation.oci.image import Image, image_of
from formation.store.blobs import StoreBlobs
from formation.store.store import Store

LIBRARIES = (
    *("libbpf.so.1", "libcrypto.so.3", "libdbus-1.so.3", "libfuse3.so.4", "libnetfilter_queue.so.1", "libnl-3.so.200"),
    *("libnl-route-3.so.200", "libprotobuf.so.32", "libprotobuf-lite.so.32", "libseccomp.so.2", "libsqlite3.so.0"),
    *("libssl.so.3", "libudev.so.1", "liburing.so.2", "libz.so.1"),
)
"""What a service of the platform links."""


@dataclass(frozen=True)
class Command:
    """Runs `formation` as a process of its own, in a store."""

    store: Path

    def __call__(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What came of `formation WORDS`, whatever its exit code."""
        return subprocess.run(
            [sys.executable, "-m", "formation", *map(str, words), "--store", str(self.store)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=directory,
            env={**os.environ, **(environment or {})},
        )

    def succeed(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, directory: Path | None = None
    ) -> str:
        """The stdout of `formation WORDS`, which must end with exit code 0."""
        ended = self(*words, environment=environment, directory=directory)
        assert ended.returncode == 0, f"formation {' '.join(map(str, words))}\n{ended.stdout}{ended.stderr}"
        return ended.stdout


@dataclass(frozen=True)
class Built:
    """An image that `formation build` left in the shared store."""

    project: Path
    """The directory of its formation.yaml and formation.lock."""
    variant: str
    told: Mapping[str, Any]
    """What `--json` printed."""
    command: Command
    """For further commands in the same store."""

    @property
    def reference(self) -> str:
        return str(self.told["reference"])

    @property
    def digest(self) -> str:
        return str(self.told["digest"])

    @property
    def definition(self) -> Definition:
        return load_definition(self.project)

    @property
    def image(self) -> Image:
        store = Store(self.command.store)
        # By digest: another test may have moved the tag.
        return image_of(StoreBlobs(store), store.blob(self.digest).read_bytes())

    def load(self, engine: Docker | Podman) -> str:
        """Gives the image to `engine`, as `--load` does; its reference there."""
        name = "docker" if isinstance(engine, Docker) else "podman"
        words = ("build", self.project, "--variant", self.variant, "--locked", "--offline", "--load", name)
        self.command.succeed(*words, environment=engine.environment)
        return self.reference
