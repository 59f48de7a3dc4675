"""A definition beside small signed archives on a server of their own, for tests of locks."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archives import HOUR, make_archive
from debs import make_deb
from formation.definition.load import load_definition
from formation.definition.values import Definition
from formation.lock.model import Lock
from formation.lock.resolve import make_lock
from formation.network import Downloader
from formation.progress import Silent
from formation.store.store import Store
from signed_archive import new_key

NOW = int(time.time())

ESSENTIAL = {"Essential": "yes"}
PACKAGES: dict[str, dict[str, str]] = {
    "base-files": {**ESSENTIAL, "Pre-Depends": "awk"},
    "libc6": {"Source": "glibc"},
    "mawk": {"Provides": "awk", "Pre-Depends": "libc6"},
    "curl": {"Depends": "libcurl4 (= 1.0)"},
    "libcurl4": {"Source": "curl", "Depends": "libc6, libnghttp2-14"},
    "libnghttp2-14": {"Source": "nghttp2 (1.0)", "Depends": "libc6"},
    "clang": {"Depends": "libllvm, libc6"},
    "libllvm": {},
    "gdb": {"Depends": "libllvm"},
}

"""Fields of the control file by package; the version is 1.0 and the architecture amd64 unless they say otherwise."""
DEV = "variants:\n  dev:\n    packages:\n      - clang\n"
"""A variant of a definition."""


@dataclass
class Workshop:
    """Makes archives and definitions, and locks them."""

    directory: Path
    url: str
    key: Any = field(default_factory=new_key)

    @property
    def base(self) -> Path:
        """The definition's directory."""
        return self.directory / "base"

    @property
    def store(self) -> Store:
        return Store(self.directory / "store")

    def publish(
        self,
        packages: dict[str, dict[str, str]] | None = None,
        *,
        suite: str = "stable",
        age: int = HOUR,
        name: str = "archive",
        version: str = "1.0",
        architectures: tuple[str, ...] = ("amd64",),
        **arguments: Any,
    ) -> None:
        """Makes a suite of the archive `name`, `age` seconds old. A package's fields may give Version, Architecture."""
        debs = []
        for package, given in (PACKAGES if packages is None else packages).items():
            fields = dict(given)
            where = self.directory / "debs"
            where.mkdir(exist_ok=True)
            for architecture in (fields.pop("Architecture"),) if "Architecture" in fields else architectures:
                its_version = fields.get("Version", version)
                debs.append(make_deb(where, package, version=its_version, architecture=architecture, fields=fields))
        make_archive(
            self.directory / "served" / name,
            debs,
            suite=suite,
            key=self.key,
            date=NOW - age,
            architectures=architectures,
            **arguments,
        )
        self.base.mkdir(exist_ok=True)
        (self.base / f"{name}.asc").write_bytes((self.directory / "served" / name / "key.asc").read_bytes())

    def define(self, packages: str = "curl", more: str = "", *, suites: str = "stable") -> Definition:
        """Writes and loads a definition with these requests, on one line each, and further keys."""
        requests = "".join(f"  - {request}\n" for request in packages.split())
        archives = (
            f"archives:\n  - {{name: local, uri: '{self.url}/archive', suites: [{suites}], keys: [./archive.asc]}}\n"
        )
        self.base.mkdir(exist_ok=True)
        (self.base / "formation.yaml").write_text(
            "kind: base\nname: formation/test\nversion: 1.0.0\n"
            + ("" if "archives:" in more else archives)
            + f"packages:\n{requests}"
            + more
        )
        return load_definition(self.base)

    def lock(self, definition: Definition, *, previous: Lock | None = None, now: int = NOW) -> Lock:
        """A lock on the archives as they are now."""
        with Downloader(progress=Silent(), tries=2, pause=lambda seconds: None) as downloader:
            return make_lock(
                definition,
                downloader=downloader,
                store=self.store,
                now=now,
                progress=Silent(),
                previous=previous,
            )
