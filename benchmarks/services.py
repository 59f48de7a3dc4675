"""Benchmarks of services: a binary of 10 MB and bind9-utils on the base, by `formation build` and by `docker build`."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from contestants import FORMATION, lock
from measure import Cost, measure

from engines import Docker, find_tool
from formation.oci.compression import PIECE, compress_piece

BINARY = 10_000_000
"""Bytes of the service's program."""
BASE = "formation/base:1.0.0"

DEFINITION = """\
kind: service
name: bench/service-{number}
version: 1.0.0
base: formation/base:1.0.0
packages: [{packages}]
files:
  - {{path: /usr/local/bin/service, source: service, mode: "0755"}}
entrypoint: [/usr/local/bin/service]
"""

DOCKERFILE = """\
FROM formation/base:1.0.0
RUN apt-get update -y && apt-get install -y --no-install-recommends bind9-utils \\
    && apt-get clean && rm -rf /var/lib/apt/lists/*
COPY ./service /usr/local/bin/service
USER formation
ENTRYPOINT ["/usr/local/bin/service"]
"""


_STEP = 1_000_003
"""Bytes from where one program is cut out to where the next one is."""


def programs(first: int) -> Iterator[bytes]:
    """Programs of `BINARY` bytes that run on the base and differ from one another: machine code, as large ones are.

    Those after another `first` differ too, up to as many as `_STEP` fits into dockerd.
    """
    small = Path("/bin/true").read_bytes()
    large = Path(find_tool("dockerd"))
    room = large.stat().st_size - BINARY
    with large.open("rb") as file:
        for number in count(first):
            file.seek(number * _STEP % room)
            yield small + file.read(BINARY - len(small))


SERVICE = "bench:service"
"""The image that Docker builds."""


class Service:
    """One service on a base that the store has."""

    def __init__(self, scratch: Path, store: Path, *, packages: str = "bind9-utils", number: int = 0) -> None:
        self.directory, self.store, self._scratch = scratch / f"service-{number}", store, scratch
        self.name = f"bench/service-{number}:1.0.0"
        self.directory.mkdir(exist_ok=True)
        (self.directory / "formation.yaml").write_text(DEFINITION.format(packages=packages, number=number))
        (self.directory / "Dockerfile").write_text(DOCKERFILE)
        self._programs = programs(number)
        self.change()
        lock(self.directory, store)

    def change(self) -> bytes:
        """Gives the service another program."""
        data = next(self._programs)
        (self.directory / "service").write_bytes(data)
        (self.directory / "service").chmod(0o755)
        return data

    def build(self, store: Path | None = None) -> Cost:
        """`formation build`, with the store that has the base or a copy of it."""
        command = [FORMATION, "build", self.directory, "--json", "--store", store or self.store]
        return measure(command, log=self._scratch / "service.log")

    def rebuild(self) -> Cost:
        """After the program changed."""
        self.change()
        return self.build()

    def first(self) -> Cost:
        """With a store that has the base and has never seen the service or its packages."""
        store = self._scratch / "first-store"
        subprocess.run(["cp", "-a", self.store, store], check=True)
        cost = self.build(store)
        shutil.rmtree(store)
        return cost

    def layers(self) -> dict[str, int]:
        """Size of each layer of the image, by digest."""
        command = [FORMATION, "inspect", self.name, "--json", "--store", self.store]
        shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return {layer["digest"]: layer["size"] for layer in shown["layers"]}


class DockerService:
    """The same by `docker build`, in a daemon that has the base."""

    def __init__(self, service: Service, docker: Docker, scratch: Path) -> None:
        self._service, self._docker, self._scratch = service, docker, scratch
        archive = scratch / "base.tar"
        command = [FORMATION, "build", scratch / "definition", "--output", f"docker-archive:{archive}"]
        subprocess.run([*command, "--store", service.store], check=True, stdout=subprocess.DEVNULL)
        docker.run("load", "--input", archive)
        archive.unlink()
        self._build()

    def _build(self, *options: str) -> Cost:
        command = [self._docker.client, "build", *options, "--network", "host", "--tag", SERVICE]
        log = self._scratch / "docker-service.log"
        return measure([*command, self._service.directory], log=log, environment=self._docker.environment)

    def rebuild(self) -> Cost:
        """After the program changed, with a warm cache."""
        self._service.change()
        return self._build()

    def first(self) -> Cost:
        """Everything again."""
        return self._build("--no-cache")


def pulled_bytes(service: Service) -> tuple[int, int, int]:
    """Bytes of the layers that a new program changes; of the program alone by our compressor, and as gzip -6 has it."""
    service.build()
    before = service.layers()
    data = service.change()
    service.build()
    changed = sum(size for digest, size in service.layers().items() if digest not in before)
    pieces = (data[start : start + PIECE] for start in range(0, len(data), PIECE))
    ours = sum(len(compress_piece(piece, "gzip")) for piece in pieces)
    return changed, ours, len(gzip.compress(data, 6))


def bytes_of_services(scratch: Path, store: Path, number: int) -> tuple[int, int]:
    """Bytes of the base's layers, and what so many services on it add to the layers of the store."""
    services = [Service(scratch, store, packages="", number=100 + each) for each in range(number)]
    layers: dict[str, int] = {}
    shared = None
    for service in services:
        service.build()
        found = service.layers()
        shared = found.keys() if shared is None else shared & found.keys()
        layers.update(found)
    base = sum(layers[digest] for digest in shared or ())
    return base, sum(layers.values()) - base
