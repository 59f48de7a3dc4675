"""The resolver and apt-get choose the same packages on the real archive: random requests, with and without recommends.

apt gets a root of its own, with the very indexes that the resolver reads and nothing installed. It is asked for all
essential packages and the request, which is what the resolver answers. `FORMATION_RESOLVER_REQUESTS` (default 100) and
`FORMATION_RESOLVER_SEED` choose another sample. docs/resolver.md explains what may differ and why.
"""

import hashlib
import os
import random
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import require_tool
from formation.debian.archive import Archive
from formation.debian.index import PackageIndex, load_packages
from formation.debian.keys import key_set
from formation.debian.request import PackageRequest
from formation.debian.resolver import resolve
from formation.debian.suite import fetch_suite
from formation.debian.universe import Universe
from formation.errors import UnresolvableError
from formation.network import Downloader
from formation.progress import Silent

pytestmark = pytest.mark.network

REQUESTS = int(os.environ.get("FORMATION_RESOLVER_REQUESTS", "100"))
BACKPORTED = 10
SEED = os.environ.get("FORMATION_RESOLVER_SEED", "formation")
ARCHIVES = [
    ("debian", "http://deb.debian.org/debian", ("trixie", "trixie-updates")),
    ("security", "http://deb.debian.org/debian-security", ("trixie-security",)),
]
BACKPORTS = ("backports", "http://deb.debian.org/debian", ("trixie-backports",))
CONFIGURATION = """\
Dir "{root}/";
Dir::State "{root}/state/";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache/";
Dir::Etc "{root}/etc/";
Dir::Log "{root}/log/";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
APT::Solver "internal";
Acquire::Languages "none";
Debug::NoLocking "true";
"""
GIVES_UP = "apt gives up on requests that can be met"
THIRD_SOLVER = "apt answers with its 3.0 solver where the classic one finds nothing"


@dataclass(frozen=True)
class Answer:
    """What is to be installed, as `name_version`; None when the request cannot be met."""

    packages: frozenset[str] | None
    notes: str


class Apt:
    """The host's apt-get, on a root of its own."""

    def __init__(self, root: Path, indexes: list[tuple[str, str, bytes]]) -> None:
        for directory in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d",
                          "etc/sources.list.d", "etc/trusted.gpg.d", "log"):  # fmt: skip
            (root / directory).mkdir(parents=True)
        (root / "status").write_bytes(b"")
        sources = []
        for archive, suite, data in indexes:
            directory = root / "archives" / archive / "dists" / suite
            packages = directory / "main/binary-amd64/Packages"
            packages.parent.mkdir(parents=True)
            packages.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            automatic = "NotAutomatic: yes\nButAutomaticUpgrades: yes\n" if "backports" in suite else ""
            (directory / "Release").write_text(
                f"{automatic}Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
                f"SHA256:\n {digest} {len(data)} main/binary-amd64/Packages\n"
            )
            sources.append(f"deb [trusted=yes] file:{root}/archives/{archive} {suite} main\n")
        (root / "etc/sources.list").write_text("".join(sources))
        (root / "apt.conf").write_text(CONFIGURATION.format(root=root))
        self._environment = {"PATH": os.environ["PATH"], "APT_CONFIG": str(root / "apt.conf"), "LC_ALL": "C"}
        updated = self._run("update")
        assert updated.returncode == 0, updated.stdout + updated.stderr
        self._run("check")  # writes the cache that every later call maps

    def install(self, names: list[str], *, recommends: bool) -> Answer:
        option = f"APT::Install-Recommends={str(recommends).lower()}"
        done = self._run("-qq", "--print-uris", "-o", option, "install", *names)
        notes = done.stdout + done.stderr
        if done.returncode:
            return Answer(None, notes)
        files = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("'")]
        return Answer(frozenset(file.rpartition("_")[0].replace("%3a", ":") for file in files), notes)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [require_tool("apt-get"), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, bytes]]:
    """The verified indexes: archive, suite and the Packages file."""
    return fetch(ARCHIVES, tmp_path_factory)


def fetch(archives, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, bytes]]:
    indexes = []
    with Downloader(progress=Silent()) as downloader:
        for name, uri, suites in archives:
            archive = Archive(
                name=name, uri=uri, suites=suites, components=("main",), keys=("debian-trixie",), signed_by=None,
                snapshot=None,
            )  # fmt: skip
            for suite in suites:
                found = fetch_suite(
                    archive, suite, ("amd64",), downloader=downloader, keys=key_set("debian-trixie"),
                    now=int(time.time()), not_before=None, cache_dir=tmp_path_factory.mktemp(suite),
                )  # fmt: skip
                indexes += [(name, suite, index.read()) for index in found.indexes]
    return indexes


@pytest.fixture(scope="module")
def parsed(fetched) -> list[PackageIndex]:
    return [
        load_packages("", lambda data=data: data, archive=archive, suite=suite, cache_dir=None)
        for archive, suite, data in fetched
    ]


def sample(indexes: list[PackageIndex], universe: Universe, count: int) -> Iterator[list[str]]:
    """Requests of one to ten packages; each kind of relation is in its share of them."""
    chance = random.Random(SEED)
    names = sorted({name for index in indexes for name in index.names})
    virtual = {name for index in indexes for _, name, _ in index.provisions} - set(names)
    kinds: dict[str, list[str]] = defaultdict(list)
    pullers: dict[str, list[str]] = defaultdict(list)
    for position in chance.sample(range(len(indexes[0])), 6000):
        package = indexes[0][position]
        needed = [*package.pre_depends, *package.depends]
        if any(len(group) > 1 for group in needed):
            kinds["alternatives"].append(package.name)
        if any(relation.qualifier for group in needed for relation in group):
            kinds["qualifiers"].append(package.name)
        if any(group[0].name in virtual for group in needed):
            kinds["needs virtual"].append(package.name)
        if any(relation.version for relation in package.provides):
            kinds["versioned provides"].append(package.name)
        if package.conflicts or package.breaks:
            kinds["conflicts"].append(package.name)
        for group in (*needed, *package.recommends):
            pullers[group[0].name].append(package.name)

    def rivals() -> list[str]:
        package = universe.candidate(chance.choice(kinds["conflicts"]))
        rival = chance.choice((*package.conflicts, *package.breaks))[0].name
        return [package.name, chance.choice(pullers.get(rival) or names)]

    for number in range(count):
        match number % 10:
            case 0 | 1:
                yield [chance.choice(names)]
            case 2:
                yield [chance.choice(kinds["alternatives"])]
            case 3:
                yield [chance.choice(kinds["qualifiers"])]
            case 4:
                yield [chance.choice(kinds["versioned provides"])]
            case 5:
                yield [chance.choice([*kinds["needs virtual"], *sorted(name for name in virtual if ":" not in name)])]
            case 6:
                yield chance.sample(kinds["conflicts"], 2)
            case 7:
                yield rivals()
            case 8:
                yield chance.sample(names, 3)
            case _:
                yield chance.sample(names, chance.choice([4, 6, 10]))


def ours(universe: Universe, names: list[str], *, recommends: bool) -> Answer:
    requests = [PackageRequest(name, None, suite or None) for name, _, suite in (each.partition("/") for each in names)]
    try:
        found = resolve(universe, requests, recommends=recommends)
    except UnresolvableError as error:
        return Answer(None, error.message)
    return Answer(frozenset(f"{s.package.name}_{s.package.version}" for s in found.packages), "")


def explained(apt: Answer, mine: Answer) -> str | None:
    """The class of docs/resolver.md that a disagreement belongs to; None for one that nobody explained."""
    if "Result calculated by the 3.0 solver" in apt.notes:
        return THIRD_SOLVER
    if apt.packages is None and mine.packages is not None:
        return GIVES_UP
    return None


def described(names: list[str], recommends: bool, apt: Answer, mine: Answer) -> str:
    lines = [f"{' '.join(names)} ({'with' if recommends else 'without'} recommends)"]
    if apt.packages is None or mine.packages is None:
        lines.append(f"  apt: {apt.notes[-600:] if apt.packages is None else 'installs it'}")
        lines.append(f"  ours: {mine.notes if mine.packages is None else 'installs it'}")
    else:
        lines.append(f"  only apt: {' '.join(sorted(apt.packages - mine.packages))}")
        lines.append(f"  only ours: {' '.join(sorted(mine.packages - apt.packages))}")
    return "\n".join(lines)


def test_random_requests_resolve_as_apt_get_resolves_them(fetched, parsed, tmp_path):
    universe = Universe(parsed, architecture="amd64", priorities=[500] * len(parsed))
    # Every second sample of each kind is with recommends.
    requests = [(names, number // 10 % 2 == 1) for number, names in enumerate(sample(parsed, universe, REQUESTS))]
    agree(requests, universe, Apt(tmp_path / "apt", fetched), allowed=len(requests) // 100)


@pytest.fixture(scope="module")
def backports(fetched, parsed, tmp_path_factory) -> tuple[Universe, list[tuple[str, str, bytes]], list[str]]:
    """The archives with the backports, their indexes, and the names that several suites have."""
    more = fetch([BACKPORTS], tmp_path_factory)
    index = load_packages("", lambda: more[0][2], archive="backports", suite="trixie-backports", cache_dir=None)
    universe = Universe([*parsed, index], architecture="amd64", priorities=[500] * len(parsed) + [100])
    names = sorted(name for name in set(index.names) if len(universe.versions(name)) > 1)
    return universe, [*fetched, *more], random.Random(SEED).sample(names, 2 * BACKPORTED)


def test_backports_give_nothing_that_nobody_asked_for(backports, tmp_path):
    universe, indexes, names = backports
    requests = [([name], False) for name in names[:BACKPORTED]]
    agree(requests, universe, Apt(tmp_path / "apt", indexes), allowed=0)


def test_backports_that_are_asked_for_bring_no_more_of_their_suite_than_with_apt(backports, tmp_path):
    universe, indexes, names = backports
    apt = Apt(tmp_path / "apt", indexes)
    essential = [package.name for package in universe.essential()]
    met = 0
    for name in names[BACKPORTED:]:
        mine = ours(universe, [f"{name}/trixie-backports"], recommends=False)
        real = apt.install([*essential, f"{name}/trixie-backports"], recommends=False)
        if real.packages is None:
            # apt follows what it could leave, and finds itself with halves of two suites.
            continue
        met += 1
        assert mine.packages is not None, mine.notes
        assert {each for each in mine.packages if "~bpo" in each} <= real.packages
    assert met > BACKPORTED / 3


def agree(requests: list[tuple[list[str], bool]], universe: Universe, apt: Apt, *, allowed: int) -> None:
    """Fails when apt and the resolver disagree on more than `allowed` requests, or in a way that nobody explained."""
    require_tool("apt-get")
    essential = [package.name for package in universe.essential()]
    with ThreadPoolExecutor(max_workers=2) as executor:
        answers = list(executor.map(lambda r: apt.install([*essential, *r[0]], recommends=r[1]), requests))
    unexplained, disagreements = [], 0
    for (names, recommends), answer in zip(requests, answers, strict=True):
        mine = ours(universe, names, recommends=recommends)
        if mine.packages != answer.packages:
            disagreements += 1
            why = explained(answer, mine)
            print(described(names, recommends, answer, mine), f"  {why or 'unexplained'}", sep="\n")
            if why is None:
                unexplained.append(names)
    met = sum(answer.packages is not None for answer in answers)
    print(f"{len(requests)} requests, {met} of them met, {disagreements} disagreements")
    assert met > len(requests) * 0.8, "a sample that apt mostly refuses proves little"
    assert unexplained == []
    assert disagreements <= allowed
