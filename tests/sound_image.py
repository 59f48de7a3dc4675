"""A small image that keeps every promise, and the ways to break one: for tests of verifying and auditing."""

import hashlib
from collections.abc import Mapping
from typing import Any

from elves import elf_bytes
from formation.contents.image import scan_image
from formation.contract.facts import Facts, facts_of
from formation.contract.findings import Finding
from formation.contract.promise import Contract
from formation.contract.verify import Report, verify
from formation.entry import Entry
from formation.oci.config import Execution
from formation.oci.image import Image
from layer_tars import Member, directory, file, image_of_layers, symlink

TRIPLET = "usr/lib/x86_64-linux-gnu"
LIBC = elf_bytes(interpreter=None, soname="libc.so.6", provides=("GLIBC_2.34", "GLIBC_2.38"))
TOOL = elf_bytes(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.34",)})
STATUS = (
    "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 2.41-12\n"
    "\n"
    "Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\n"
    f"Conffiles:\n /etc/tool.conf {hashlib.md5(b'on').hexdigest()}\n"
)
EXECUTION = Execution(
    environment=("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"),
    user="formation",
    working_directory="/app",
    command=("tool",),
    volumes=("/var/log/formation",),
    exposed_ports=("8080/tcp",),
    labels={"org.opencontainers.image.version": "1.0.0"},
)


def _database(files: Mapping[str, bytes]) -> list[Member]:
    """What dpkg keeps of the packages `libc6` and `tool`."""

    def listed(*paths: str) -> bytes:
        parents = {parent for path in paths for parent in _parents(path)}
        return "".join(f"/{path}\n" for path in [".", *sorted({*parents, *paths})]).encode()

    def sums(*paths: str) -> bytes:
        return "".join(f"{hashlib.md5(files[path]).hexdigest()}  {path}\n" for path in paths).encode()

    info = {
        "libc6:amd64.list": listed(f"{TRIPLET}/libc.so.6", "lib64", "usr/lib64/ld-linux-x86-64.so.2"),
        "libc6:amd64.md5sums": sums(f"{TRIPLET}/libc.so.6"),
        "tool.list": listed("usr/bin/tool", "etc/tool.conf"),
        "tool.md5sums": sums("usr/bin/tool"),
    }
    database = "var/lib/dpkg"
    return [
        *map(directory, ("var", "var/lib", database, f"{database}/info")),
        file(f"{database}/status", STATUS.encode()),
        *(file(f"{database}/info/{name}", data) for name, data in info.items()),
    ]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def sound_members() -> list[Member]:
    """The one layer of the image."""
    programs = {f"{TRIPLET}/libc.so.6": LIBC, "usr/bin/tool": TOOL}
    directories = ("etc", "usr", "usr/bin", "usr/lib", "usr/lib64", "usr/local", "usr/local/bin", TRIPLET, "app")
    return [
        *map(directory, directories),
        *(symlink(name, f"usr/{name}") for name in ("bin", "lib", "lib64")),
        *(file(path, content, mode=0o755) for path, content in programs.items()),
        symlink("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/libc.so.6"),
        file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nformation:x:999:999::/app:/usr/sbin/nologin\n"),
        file("etc/group", b"root:x:0:\nadm:x:4:formation\nformation:x:999:\n"),
        file("etc/tool.conf", b"on"),
        *_database(programs),
        directory("var/log"),
        directory("var/log/formation", 0o750, 999, 999),
    ]


def sound_image(*upper: list[Member], execution: Execution = EXECUTION, **options: Any) -> Image:
    """The image, with more layers on top."""
    return image_of_layers(sound_members(), *upper, execution=execution, **options)


def facts(*upper: list[Member], **options: Any) -> Facts:
    """What is in it."""
    return facts_of(scan_image(sound_image(*upper, **options), None, workers=1))


def verified(image: Image, contract: Contract | None = None, **options: Any) -> Report:
    """What `formation verify` finds in `image`."""
    return verify(scan_image(image, None, workers=1), "the image", contract, **options)


def ids(findings: tuple[Finding, ...]) -> list[str]:
    """The ids, in order."""
    return [finding.id for finding in findings]


def changed(path: str, content: bytes = b"changed", **attributes: Any) -> Member:
    """A file that replaces what is at `path`."""
    entry, data = file(path, content)
    return Entry(entry.path, "file", attributes.get("mode", 0o644), size=len(data)), data
