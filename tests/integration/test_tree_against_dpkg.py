"""An image's tree is the one that apt and dpkg themselves make of the same lock (DESIGN.md, decision 4).

mmdebstrap makes the base of both references once; each set of packages is then installed by `apt-get` in a copy of it.
What may differ is in EXPLAINED, and in docs/faithful-installation.md.
"""

import hashlib
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import require_tool
from formation.build.automatic import STATES
from formation.build.plan import Plan, make_plan
from formation.definition.image_files import dpkg_filters
from formation.definition.load import load_definition
from formation.install.key_store import with_time
from formation.lock.lockfile import lock_path, read_lock
from formation.oci.image import Image
from formation.oci.reference import parse_reference
from formation.store.images import open_stored
from formation.store.store import Store
from real_install import add, bootstrap, copy_root, harden, install, make_repository
from trees import Difference, Record, compare, directory_tree, image_tree

pytestmark = [pytest.mark.network, pytest.mark.root, pytest.mark.xdist_group("tree")]

ARCHITECTURE = "amd64"
SEED = 3
SETS = 20
POOL = (
    # alternatives
    "less", "vim-tiny", "nano", "gawk", "fakeroot", "iptables", "lynx", "netcat-openbsd", "pinentry-curses",
    # diversions
    "zutils", "dictionaries-common", "molly-guard",
    # users, groups, modes and capabilities of their own
    "dbus", "cron", "screen", "sudo", "uuid-runtime", "tcpdump", "iputils-arping", "mtr-tiny", "chrony", "rsyslog",
    "at", "fuse3", "redis-server", "nginx-light", "postgresql-common", "avahi-daemon",
    # debconf
    "locales", "tzdata", "keyboard-configuration", "debconf-utils",
    # triggers, caches and registries
    "man-db", "install-info", "fontconfig", "fonts-dejavu-core", "shared-mime-info", "desktop-file-utils", "mailcap",
    "libglib2.0-bin", "hicolor-icon-theme", "xml-core", "docbook-xml", "emacsen-common", "aspell-en", "ca-certificates",
    "python3-yaml", "python3-requests", "ruby", "perl", "systemd", "udev", "initramfs-tools", "logrotate", "apparmor",
    # plain
    "jq", "git", "rsync", "sqlite3", "file", "strace", "bind9-dnsutils", "openssh-server", "gnupg", "php-cli",
)  # fmt: skip
"""Of trixie's main component; each does something with its scripts, or is what services install."""


@dataclass(frozen=True)
class Explained:
    """A difference that is right as it is."""

    paths: str
    """A regular expression of whole paths."""
    reason: str
    alike: Callable[[Difference], bool] = lambda difference: True
    """Whether the difference is of the kind that the reason explains."""


def only_in_reference(difference: Difference) -> bool:
    return difference.actual is None


def _texts(difference: Difference) -> tuple[str, str] | None:
    """Both contents, when nothing but the content differs."""
    expected, actual = difference.expected, difference.actual
    if difference.fields != ("digest",) or expected is None or actual is None:
        return None
    if expected.content is None or actual.content is None:
        return None
    return expected.content.decode(errors="replace"), actual.content.decode(errors="replace")


def same_lines(difference: Difference) -> bool:
    texts = _texts(difference)
    return texts is not None and sorted(texts[0].splitlines()) == sorted(texts[1].splitlines())


def same_but_for_days(difference: Difference) -> bool:
    texts = _texts(difference)
    return texts is not None and len({re.sub(r"(?<=:)\d{5}(?=:)", "", text) for text in texts}) == 1


def same_but_for_times(difference: Difference) -> bool:
    contents = [side.content or b"" for side in (difference.expected, difference.actual) if side is not None]
    settled = [with_time(content, 0) for content in contents]
    return difference.fields == ("digest",) and settled[0] is not None and settled[0] == settled[1]


def same_stanzas(difference: Difference) -> bool:
    texts = _texts(difference)
    return texts is not None and sorted(texts[0].split("\n\n")) == sorted(texts[1].split("\n\n"))


FILTERED = re.compile(r"(?:[0-9a-f]{32}  |/)usr/share/(?:doc|info|man|locale|linda|lintian/overrides)/.+")


def only_filtered_lines_are_missing(difference: Difference) -> bool:
    texts = _texts(difference)
    if texts is None:
        return False
    expected, actual = (text.splitlines() for text in texts)
    kept = set(actual)
    missing = [line for line in expected if line not in kept]
    return [line for line in expected if line in kept] == actual and all(map(FILTERED.fullmatch, missing))


EXPLAINED = (
    Explained(
        r"var/lib/dpkg/info/.+\.(list|md5sums)",
        "ours do not name what the path filters keep out, so that dpkg --verify misses nothing",
        only_filtered_lines_are_missing,
    ),
    Explained(r"dev/.+", "mmdebstrap makes device nodes; an engine mounts its own /dev", only_in_reference),
    Explained(
        r"etc/(fstab|hostname|resolv\.conf|apt/apt\.conf\.d/99mmdebstrap|dpkg/dpkg\.cfg\.d/99mmdebstrap)",
        "mmdebstrap writes them for itself or for a machine that boots",
        only_in_reference,
    ),
    Explained(r"var/log/((dpkg|alternatives|fontconfig)\.log|apt/.+)", "logs of the installation", only_in_reference),
    Explained(r"run/.+", "a lock of the installation", lambda d: only_in_reference(d) and _is_file(d.expected)),
    Explained(
        r"var/lib/dpkg/(lock|lock-frontend|triggers/Lock|(available|diversions|statoverride|status)-old)|var/cache/debconf/(.+-old|tmp\.ci)",
        "locks, backups and scratch space of dpkg and debconf, which make them anew",
        only_in_reference,
    ),
    Explained(
        r"var/cache/apt/archives/(lock|partial)|var/lib/apt/lists/(lock|partial|auxfiles)",
        "apt-get makes them whenever it runs, and gives them to its sandbox user",
    ),
    Explained(
        r"etc/(passwd|group|shadow|gshadow)-|var/lib/sgml-base/supercatalog\.old",
        "backups: what was there before the last of several changes, whose number and order may differ",
    ),
    Explained(
        r"etc/machine-id|var/lib/dbus/machine-id|etc/ssh/ssh_host_.+_key(\.pub)?",
        "identities of one machine, which many containers must not share; the first start makes them",
        only_in_reference,
    ),
    Explained(
        r"etc/ssl/(certs/ssl-cert-snakeoil\.pem|private/ssl-cert-snakeoil\.key|certs/[0-9a-f]{8}\.0)", "a random key"
    ),
    Explained(
        r"etc/ssl/certs/java/cacerts",
        "every certificate has the time at which it was put there",
        same_but_for_times,
    ),
    Explained(
        r"var/log/journal",
        "systemd-tmpfiles gives group adm an access control list; layers carry only security.capability",
        lambda difference: difference.fields == ("xattrs",),
    ),
    Explained(
        r"var/lib/dpkg/triggers/File",
        "dpkg keeps interests in the order of unpacking; ours are unpacked in the order of names",
        same_lines,
    ),
    Explained(r"var/cache/ldconfig/aux-cache", "holds inode numbers; ldconfig makes it anew", only_in_reference),
    Explained(
        r"var/lib/dpkg/statoverride",
        "dpkg-statoverride writes it in the order of a hash table; ours is sorted",
        same_lines,
    ),
    Explained(r"etc/shadow", "the day of the last change is that of the build", same_but_for_days),
    Explained(STATES.lstrip("/"), "apt writes it in the order of a hash table; ours is sorted", same_stanzas),
)


def _is_file(record: Record | None) -> bool:
    return record is not None and record.type == "file"


def unexplained(differences: list[Difference]) -> list[Difference]:
    return [
        difference
        for difference in differences
        if not any(re.fullmatch(known.paths, difference.path) and known.alike(difference) for known in EXPLAINED)
    ]


@dataclass(frozen=True)
class References:
    """Makes reference trees of the locks of definitions. Each root is made once in a run."""

    work: Path
    once: Callable[[str, Callable[[], Any]], Any]
    store: Store
    mmdebstrap: str

    def plan(self, project: Path, variant: str) -> Plan:
        definition = load_definition(project / "formation.yaml")
        path = lock_path(definition.path)
        return make_plan(definition, read_lock(path), path.read_text(), variant, ARCHITECTURE)

    def root(self, project: Path, variant: str) -> Path:
        """The root of a variant; one that extends another is installed on top of that one's."""
        plan = self.plan(project, variant)
        below = plan.lineage[-1].extends
        target = self.work / f"{project.name}-{variant}"

        def make() -> str:
            repository = make_repository(self.work / f"{target.name}-archive", plan.packages, self.store)
            source = self.base(plan, repository) if below is None else self.root(project, below)
            copy_root(source, target)
            requests = [str(request) for request in plan.lineage[-1].packages]
            install(target, repository, requests, plan.lock.epoch)
            add(target, repository, plan.additions[-1], plan.lock.epoch)
            harden(target, repository, plan.definition.hardening, plan.lock.epoch)
            shutil.rmtree(repository)
            return str(target)

        return Path(self.once(f"reference-{target.name}", make))

    def base(self, plan: Plan, repository: Path) -> Path:
        """Essential packages and apt."""
        essential = "".join(package.sha256 for package in plan.packages if package.essential or package.name == "apt")
        name = f"bootstrap-{hashlib.sha256(essential.encode()).hexdigest()[:16]}"

        def make() -> str:
            filters = dpkg_filters(plan.definition)
            bootstrap(self.mmdebstrap, repository, self.work / name, ARCHITECTURE, filters, plan.lock.epoch)
            return str(self.work / name)

        return Path(self.once(name, make))


@pytest.fixture(scope="module")
def references(run_directory: Path, once: Any, shared_store: Path) -> References:
    work = run_directory / "references"
    work.mkdir(exist_ok=True)
    return References(work, once, Store(shared_store), require_tool("mmdebstrap"))


def check(image: Image, root: Path) -> None:
    differences = unexplained(compare(directory_tree(root), image_tree(image)))
    text = "\n".join(map(str, differences[:60]))
    assert not differences, f"{len(differences)} differences from what apt and dpkg install:\n{text}"


def test_the_runtime_variant_is_what_apt_installs(base_image, references):
    check(base_image.image, references.root(base_image.project, "runtime"))


def test_the_dev_variant_is_what_apt_installs_on_the_runtime_variant(dev_image, references):
    check(dev_image.image, references.root(dev_image.project, "dev"))


def random_sets() -> dict[str, tuple[str, ...]]:
    """Variant name → requests: the pool in a random order, cut into pieces of one to six."""
    generator = random.Random(SEED)
    names = generator.sample(POOL, len(POOL))
    sizes = [generator.randint(1, 6) for _ in range(SETS)]
    found: dict[str, tuple[str, ...]] = {}
    for number, size in enumerate(sizes):
        if len(names) < size:
            names.extend(generator.sample(POOL, len(POOL)))
        found[f"set{number}"] = tuple(dict.fromkeys(names[:size]))
        del names[:size]
    return found


@pytest.fixture(scope="module")
def sets_project(run_directory: Path, once: Any, formation: Any) -> Path:
    """A definition with a variant for each random set, locked."""

    def make() -> str:
        project = run_directory / "sets"
        project.mkdir()
        lines = [
            "kind: base", "name: formation/sets", "version: 1.0.0", "description: random sets of packages",
            "distribution: debian/trixie", f"architectures: [{ARCHITECTURE}]", "packages: [apt]",
            "hardening: {setuid: keep, accounts: keep, modes: keep, package_manager: keep, traces: keep}", "variants:",
        ]  # fmt: skip
        for name, requests in random_sets().items():
            lines += [f"  {name}:", f"    packages: [{', '.join(requests)}]"]
        (project / "formation.yaml").write_text("\n".join(lines) + "\n")
        formation.succeed("lock", project)
        return str(project)

    return Path(once("sets", make))


@pytest.mark.parametrize(
    ("variant", "requests"),
    random_sets().items(),
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_random_set_is_what_apt_installs(variant, requests, sets_project, references, formation):
    formation.succeed("build", sets_project, "--variant", variant, "--locked")
    image = open_stored(Store(formation.store), parse_reference(f"formation/sets:1.0.0-{variant}"))
    check(image, references.root(sets_project, variant))
