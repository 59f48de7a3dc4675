"""The commands that the benchmarks compare: ours, mmdebstrap and `docker build`, each making the same image."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from measure import Cost, measure

from engines import Docker, Registry

ROOT = Path(__file__).resolve().parents[1]
FORMATION = ROOT / ".venv" / "bin" / "formation"
LOCK_FILE = "formation.lock"
DEFINITION_FILE = "formation.yaml"

SOURCES = """\
deb http://deb.debian.org/debian trixie main
deb http://deb.debian.org/debian trixie-updates main
deb http://deb.debian.org/debian-security trixie-security main
"""

# What Formation leaves out by default, so that no peer writes files that we do not.
LEAVE_OUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/overrides/*",
)

STARTING_IMAGE = "debian:trixie-slim"

# Small packages that need nothing but libc6. One takes the place of another to make a lock in which one differs.
LEAVES = ("hello", "tree", "pv", "pax", "ncompress", "diffstat", "time", "sharutils")
SCRIPTED_LEAVES = ("dc", "cpio", "ed", "figlet")
"""Those with maintainer scripts: with one of them, the scripts of its whole stage run again."""


def requests(definition: Path, variant: str) -> list[str]:
    """The packages that a definition asks for in `variant`, those of the variants it extends first."""
    content: dict[str, Any] = yaml.safe_load((definition / DEFINITION_FILE).read_text())
    asked: list[str] = []
    while variant != "runtime":
        entry = content["variants"][variant]
        asked = [*entry.get("packages", []), *asked]
        variant = entry.get("extends", "runtime")
    asked = [*content.get("packages", []), *asked]
    return [request for request in asked if not request.startswith("-")]


class Formation:
    """Our build, from a lock that is there: what a person does who checks the definition out."""

    name = "formation"

    def __init__(self, definition: Path, variant: str, scratch: Path, *, sample_tree: bool = False) -> None:
        self.definition, self.variant, self.scratch = definition, variant, scratch
        self._sample_tree = sample_tree

    def build(self, store: Path) -> Cost:
        """Builds with `store`."""
        command: list[str | Path] = [
            FORMATION,
            "build",
            self.definition,
            "--variant",
            self.variant,
            "--json",
            "--store",
            store,
        ]
        return measure(command, log=self.scratch / "formation.log", sample_tree=self._sample_tree)

    def cold(self) -> Cost:
        """Builds with an empty store: every .deb is downloaded."""
        store = self.scratch / "cold-store"
        shutil.rmtree(store, ignore_errors=True)
        cost = self.build(store)
        shutil.rmtree(store)
        return cost


class Mmdebstrap:
    """mmdebstrap makes a tar of the same packages: it downloads indexes and packages, unpacks, configures."""

    name = "mmdebstrap"

    def __init__(self, packages: list[str], scratch: Path, *, sample_tree: bool = False) -> None:
        self.packages, self.scratch = packages, scratch
        self._sample_tree = sample_tree

    def build(self) -> Cost:
        """Makes the tar. The suite is empty because the sources come on stdin."""
        target = self.scratch / "mmdebstrap.tar"
        options = [f"--dpkgopt={option}" for option in LEAVE_OUT]
        command = ["mmdebstrap", "--variant=essential", f"--include={','.join(self.packages)}", *options]
        cost = measure(
            [*command, "", target, "-"],
            log=self.scratch / "mmdebstrap.log",
            environment={"TMPDIR": str(self.scratch)},
            input=SOURCES.encode(),
            sample_tree=self._sample_tree,
        )
        target.unlink()
        return cost


class DockerBuild:
    """`docker build --no-cache` of the Dockerfile that a person writes for these packages."""

    name = "docker build"

    def __init__(self, docker: Docker, packages: list[str], scratch: Path, starting_image: str) -> None:
        """`starting_image` is in the daemon, and in a registry under the same name."""
        self.docker, self.scratch, self._starting_image = docker, scratch, starting_image
        self._context = scratch / "context"
        self._context.mkdir(exist_ok=True)
        (self._context / "Dockerfile").write_text(
            f"FROM {starting_image}\n"
            f"RUN apt-get update -y && apt-get install -y --no-install-recommends {' '.join(packages)} \\\n"
            "    && apt-get clean && rm -rf /var/lib/apt/lists/*\n"
        )

    def cold(self) -> Cost:
        """Builds with an empty daemon, which pulls the starting image first."""
        self.docker.run("image", "rm", self._starting_image, check=False)
        return self.build()

    def build(self) -> Cost:
        """Builds the image, which is then removed."""
        command: list[str | Path] = [self.docker.client, "build", "--no-cache", "--network", "host", "--tag", "bench:1"]
        cost = measure([*command, self._context], log=self.scratch / "docker.log", environment=self.docker.environment)
        self.docker.run("image", "rm", "bench:1")
        return cost


def provide_starting_image(docker: Docker, registry: Registry, scratch: Path) -> str:
    """Makes debian:trixie-slim with mmdebstrap, in one layer as Debian's own, and pushes it; gives its name there."""
    name = f"{registry.address}/{STARTING_IMAGE}"
    rootfs = scratch / "slim.tar"
    options = [f"--dpkgopt={option}" for option in LEAVE_OUT]
    command = ["mmdebstrap", "--quiet", "--variant=minbase", *options, "", str(rootfs), "-"]
    subprocess.run(command, input=SOURCES.encode(), check=True)
    docker.run("import", rootfs, name)
    docker.run("push", name)
    rootfs.unlink()
    return name


def lock(definition: Path, store: Path) -> None:
    """Locks `definition` where it has no lock, with the indexes kept in `store`."""
    if not (definition / LOCK_FILE).exists():
        subprocess.run([FORMATION, "lock", definition, "--store", store], check=True, stdout=subprocess.DEVNULL)


def one_package_changes(
    definition: Path, scratch: Path, store: Path, packages: Sequence[str] = LEAVES
) -> Callable[[], Path]:
    """Gives, call by call, copies of `definition` in which exactly one of `packages` took the place of another.

    That is the work of a patch: one .deb is new, one is gone, and the database and the effects change.
    """
    leaves = iter(packages)

    def change() -> Path:
        leaf = next(leaves, None)
        if leaf is None:
            raise SystemExit(f"there are {len(packages)} packages that can change: ask for fewer --runs")
        copy = scratch / f"changed-{leaf}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(definition, copy)
        (copy / LOCK_FILE).unlink(missing_ok=True)
        content = yaml.safe_load((copy / DEFINITION_FILE).read_text())
        content["packages"].append(leaf)
        (copy / DEFINITION_FILE).write_text(json.dumps(content))
        lock(copy, store)
        return copy

    return change
