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

from bench import Bench, Contestants, say  # noqa: E402 - found through the path above
from contestants import SCRIPTED_LEAVES  # noqa: E402
from measure import Cost  # noqa: E402

MEBIBYTE = 1 << 20
FILE_SYSTEM = 40 << 30
"""Bytes that the scratch file system may hold."""


CASES: dict[str, tuple[Callable[[Bench], Contestants], int]] = {
    "cold-runtime": (lambda bench: bench.cold("runtime"), 3),
    "cold-dev": (lambda bench: bench.cold("dev"), 3),
    "rebuild-one-package-runtime": (lambda bench: bench.one_package("runtime"), 3),
    "rebuild-one-package-dev": (lambda bench: bench.one_package("dev"), 3),
    "rebuild-scripted-package-runtime": (lambda bench: bench.one_package("runtime", SCRIPTED_LEAVES), 3),
    "rebuild-scripted-package-dev": (lambda bench: bench.one_package("dev", SCRIPTED_LEAVES), 3),
    "rebuild-nothing": (lambda bench: bench.nothing("runtime"), 10),
    "service-rebuild": (lambda bench: bench.service("rebuild"), 9),
    "service-first": (lambda bench: bench.service("first"), 5),
    "verify-dev-cold": (lambda bench: bench.checks("dev", "verify", cold=True), 3),
    "verify-dev": (lambda bench: bench.checks("dev", "verify", cold=False), 9),
    "verify-dev-contract": (lambda bench: bench.checks("dev", "verify_contract", cold=False), 9),
    "audit-dev-cold": (lambda bench: bench.checks("dev", "audit", cold=True), 3),
    "audit-dev": (lambda bench: bench.checks("dev", "audit", cold=False), 9),
    "verify-and-audit-dev-cold": (lambda bench: bench.both_checks("dev"), 3),
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


def in_turn(case: str, contestants: Contestants, runs: int) -> dict[str, list[Cost]]:
    """The costs of `runs` runs of each contestant, taken in turn so that a slow minute of the machine hits all.

    Every other time in the opposite order: what one leaves behind, such as trees that Docker removes, hits no other
    always.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(1, runs + 1):
        for name, run in list(contestants.items())[:: 1 if number % 2 else -1]:
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
        # direct-io: else all that is written is in the page cache twice, and a second process copies it there.
        attach = ["losetup", "--find", "--show", "--direct-io=on", image]
        device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
        try:
            subprocess.run(["mount", device, mounted], check=True)
            try:
                yield mounted
            finally:
                subprocess.run(["umount", mounted], check=True)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)
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
