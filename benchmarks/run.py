#!/usr/bin/env python3
"""Measures Formation and its peers in turn (A B A B …) on this machine, and prints a Markdown table of the medians.

    .venv/bin/python benchmarks/run.py [CASE …] [--runs N] [--definition DIR] [--peers-only]

stdout is the table; progress goes to stderr; every single run is kept in benchmarks/results/.
"""

import argparse
import compileall
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from contestants import (  # noqa: E402 - found through the path above
    DockerBuild,
    Formation,
    Mmdebstrap,
    lock,
    one_package_changes,
    provide_starting_image,
    requests,
)
from measure import Cost  # noqa: E402
from patch_releases import patch_releases  # noqa: E402
from registry import Images, OnePackage, Pull, Push, published_services  # noqa: E402

from engines import Docker, Registry  # noqa: E402
from services import DockerService, Service, bytes_of_services, pulled_bytes  # noqa: E402

MEBIBYTE = 1 << 20
FILE_SYSTEM = 40 << 30
"""Bytes that the scratch file system may hold."""
Contestants = dict[str, Callable[[], Cost]]


class Bench:
    """Where a run of the benchmarks keeps its scratch files, its Docker daemon and its warm store."""

    def __init__(self, definition: Path, scratch: Path, stack: ExitStack, *, peers: bool, ours: bool) -> None:
        self.definition, self.scratch, self.peers, self.ours = definition, scratch, peers, ours
        self._stack = stack
        self._docker: Docker | None = None
        self._images: Images | None = None
        self._registry: Registry | None = None
        self.warm_store = scratch / "warm-store"

    def docker(self) -> Docker:
        """A private daemon that has the starting image; started by the first case that needs one."""
        if self._docker is None:
            say("starting a private dockerd and making its starting image")
            self._docker = Docker(self.scratch / "docker")
            self._stack.callback(self._docker.stop)
            provide_starting_image(self._docker, self.scratch)
        return self._docker

    def cold(self, variant: str) -> Contestants:
        """From nothing, downloads included."""
        packages = requests(self.definition, variant)
        found: Contestants = {}
        if self.ours:
            lock(self.definition, self.warm_store)
            found["formation"] = Formation(self.definition, variant, self.scratch).cold
        if self.peers:
            found["mmdebstrap"] = Mmdebstrap(packages, self.scratch).build
            found["docker build"] = DockerBuild(self.docker(), packages, self.scratch).build
        return found

    def one_package(self, variant: str) -> Contestants:
        """Again with a warm store, after one package changed. Docker builds everything again."""
        found: Contestants = {}
        if self.ours:
            change = one_package_changes(self.definition, self.scratch, self.warm_store)
            Formation(change(), variant, self.scratch).build(self.warm_store)
            found["formation"] = lambda: Formation(change(), variant, self.scratch).build(self.warm_store)
        if self.peers:
            packages = requests(self.definition, variant)
            found["docker build"] = DockerBuild(self.docker(), packages, self.scratch).build
        return found

    def nothing(self, variant: str) -> Contestants:
        """Again with a warm store; the start of the command is included."""
        if not self.ours:
            return {}
        lock(self.definition, self.warm_store)
        formation = Formation(self.definition, variant, self.scratch)
        formation.build(self.warm_store)
        return {"formation": lambda: formation.build(self.warm_store)}

    def memory(self, variant: str) -> Contestants:
        """From nothing, with the memory of the process tree sampled. Docker's work is done by daemons: not compared."""
        found: Contestants = {}
        if self.ours:
            lock(self.definition, self.warm_store)
            found["formation"] = Formation(self.definition, variant, self.scratch, sample_tree=True).cold
        if self.peers:
            packages = requests(self.definition, variant)
            found["mmdebstrap"] = Mmdebstrap(packages, self.scratch, sample_tree=True).build
        return found

    def service(self, work: str) -> Contestants:
        """A service on the base, which is there: `rebuild` after its program changed, or the `first` build."""
        # A store of its own: the first build of a service must not find the package layer of another.
        service = self._service(store=self.scratch / f"{work}-base-store")
        found: Contestants = {"formation": getattr(service, work)} if self.ours else {}
        if self.peers:
            found["docker build"] = getattr(DockerService(service, self.docker(), self.scratch), work)
        return found

    def _service(self, number: int = 0, store: Path | None = None) -> Service:
        store = store or self.warm_store
        lock(self.definition, store)
        Formation(self.definition, "runtime", self.scratch).build(store)
        return Service(self.scratch, store, number=number)

    def service_bytes(self) -> Iterator[str]:
        """What a new program costs a host that has the service, and what ten services cost a store."""
        changed, alone = pulled_bytes(self._service(1))
        yield f"a new program of 10 MB: {changed} bytes to pull, {changed - alone} more than the program as gzip -6"
        base, added = bytes_of_services(self.scratch, self.warm_store, 10)
        yield f"ten services on one base: its layers once, {base} bytes; {added} bytes for all ten services"

    def push(self, variant: str) -> Contestants:
        """The first push of a variant, into an empty registry."""
        push = Push(self.images(), variant, self.docker() if self.peers else None)
        return self._transfers(push.formation, push.skopeo, push.docker)

    def pull(self, variant: str) -> Contestants:
        """The first pull of a variant, into nothing."""
        pull = Pull(self.images(), variant, self.docker() if self.peers else None, self.registry())
        return self._transfers(pull.formation, pull.skopeo, pull.docker)

    def push_one_package(self) -> Contestants:
        """A push after one package changed. Docker's own build would change all of the image."""
        push = OnePackage(self.images(), self.registry(), "timed")
        return self._transfers(push.formation, push.skopeo)

    def pushed_bytes(self) -> Iterator[str]:
        """What such a push sends."""
        yield OnePackage(self.images(), self.registry(), "counted").count()

    def publish_services(self) -> Iterator[str]:
        """What ten services on a published base send."""
        yield from published_services(self.images(), self.registry(), 10)

    def patch_releases(self) -> Iterator[str]:
        """What a host pulls for patch releases, by layer budget."""
        lock(self.definition, self.warm_store)
        Formation(self.definition, "runtime", self.scratch).build(self.warm_store)
        yield from patch_releases(self.definition, self.scratch, self.warm_store)

    def images(self) -> Images:
        """The base in the forms that are pushed."""
        if self._images is None:
            lock(self.definition, self.warm_store)
            self._images = Images(self.definition, self.scratch, self.warm_store)
        return self._images

    def registry(self) -> Registry:
        """A registry that keeps what it gets until the end."""
        if self._registry is None:
            self._registry = Registry(self.scratch / "registry")
            self._stack.callback(self._registry.stop)
        return self._registry

    def _transfers(
        self, ours: Callable[[], Cost], skopeo: Callable[[], Cost], *docker: Callable[[], Cost]
    ) -> Contestants:
        found: Contestants = {"formation": ours} if self.ours else {}
        if self.peers:
            found |= {"skopeo": skopeo, **({"docker": docker[0]} if docker else {})}
        return found


CASES: dict[str, tuple[Callable[[Bench], Contestants], int]] = {
    "cold-runtime": (lambda bench: bench.cold("runtime"), 3),
    "cold-dev": (lambda bench: bench.cold("dev"), 3),
    "rebuild-one-package-runtime": (lambda bench: bench.one_package("runtime"), 3),
    "rebuild-one-package-dev": (lambda bench: bench.one_package("dev"), 3),
    "rebuild-nothing": (lambda bench: bench.nothing("runtime"), 10),
    "service-rebuild": (lambda bench: bench.service("rebuild"), 3),
    "service-first": (lambda bench: bench.service("first"), 3),
    "push-runtime": (lambda bench: bench.push("runtime"), 5),
    "push-dev": (lambda bench: bench.push("dev"), 3),
    "pull-runtime": (lambda bench: bench.pull("runtime"), 5),
    "pull-dev": (lambda bench: bench.pull("dev"), 3),
    "push-one-package": (Bench.push_one_package, 3),
    "memory-dev": (lambda bench: bench.memory("dev"), 1),
}
"""Each case, and how often it is run when --runs does not say."""

FACTS: dict[str, Callable[[Bench], Iterator[str]]] = {
    "service-bytes": Bench.service_bytes,
    "push-one-package-bytes": Bench.pushed_bytes,
    "publish-services": Bench.publish_services,
    "patch-releases": Bench.patch_releases,
}
"""What is counted once instead of timed."""


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def in_turn(case: str, contestants: Contestants, runs: int) -> dict[str, list[Cost]]:
    """The costs of `runs` runs of each contestant, taken in turn so that a slow minute of the machine hits all."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(1, runs + 1):
        for name, run in contestants.items():
            cost = run()
            costs[name].append(cost)
            say(f"{case} {number}/{runs} {name}: {cost.seconds:.2f} s, {_megabytes(cost)} MiB")
    return costs


def _megabytes(cost: Cost) -> int:
    return (cost.largest_process if cost.tree is None else cost.tree) // MEBIBYTE


def rows(case: str, costs: dict[str, list[Cost]]) -> Iterator[str]:
    """One table row per contestant: medians, range, and how ours compares."""
    medians = {name: statistics.median(cost.seconds for cost in runs) for name, runs in costs.items() if runs}
    ours = medians.get("formation")
    for name, runs in costs.items():
        seconds = [cost.seconds for cost in runs]
        ratio = "" if ours is None or name == "formation" else f"{ours / medians[name]:.2f}"
        memory = round(statistics.median(map(_megabytes, runs)))
        kind = "largest process" if runs[0].tree is None else "tree"
        yield (
            f"| {case} | {name} | {medians[name]:.2f} | {min(seconds):.2f}–{max(seconds):.2f} | {ratio} "
            f"| {memory} ({kind}) |"
        )


def machine() -> dict[str, str | int]:
    """What the numbers were measured on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE)
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": model.partition(":")[2].strip(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "commit": commit.stdout.strip(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A new ext4 file system with a journal, as most machines have, in a sparse file; gone at the end.

    Without a journal ext4 does not use a deleted file's inode again for a minute or more and searches past it each time
    (find_inode_bit in Linux's fs/ext4/ialloc.c), so whoever runs after another has cleared up pays three seconds.
    """
    directory = Path(tempfile.mkdtemp(prefix="formation-bench-", dir="/var/tmp"))
    image, mounted = directory / "ext4", directory / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(FILE_SYSTEM)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mounted], check=True)
        try:
            yield mounted
        finally:
            subprocess.run(["umount", mounted], check=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "cases", nargs="*", metavar="CASE", help=f"all when none is named: {', '.join([*CASES, *FACTS])}"
    )
    parser.add_argument("--runs", type=int, help="runs of each contestant, instead of each case's own number")
    parser.add_argument("--definition", type=Path, default=HERE.parent / "docker" / "base")
    parser.add_argument("--peers-only", action="store_true", help="leave ours out")
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out")
    options = parser.parse_args(arguments)
    known = [*CASES, *FACTS]
    if unknown := set(options.cases) - set(known):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there is {', '.join(known)}")

    # As pip leaves what it installs; an editable checkout may not be compiled.
    compileall.compile_dir(HERE.parent / "src", quiet=1)
    results: dict[str, dict[str, list[Cost]]] = {}
    facts: list[str] = []
    with scratch_directory() as scratch, ExitStack() as stack:
        # A copy, so that a lock that is made here does not land in the checkout.
        definition = Path(shutil.copytree(options.definition.resolve(), scratch / "definition"))
        bench = Bench(definition, scratch, stack, peers=not options.ours_only, ours=not options.peers_only)
        for case in options.cases or known:
            if case in FACTS:
                facts.extend(FACTS[case](bench))
                continue
            prepare, runs = CASES[case]
            results[case] = in_turn(case, prepare(bench), options.runs or runs)

    print("| work | who | median s | range s | ours ÷ theirs | peak MiB |")
    print("|---|---|---:|---:|---:|---:|")
    for case, costs in results.items():
        for row in rows(case, costs):
            print(row)
    for fact in facts:
        print(f"\n{fact}")
    record = {
        "machine": machine(),
        "facts": facts,
        "cases": {
            case: {name: [asdict(cost) for cost in runs] for name, runs in costs.items()}
            for case, costs in results.items()
        },
    }
    file = HERE / "results" / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(record, indent=2) + "\n")
    say(f"every run is in {file.relative_to(HERE.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
