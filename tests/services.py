"""Small services on small bases, for tests of what is done before a service is built."""

from collections.abc import Mapping
from pathlib import Path

from elves import LOADER, elf_bytes
from formation.build.base_files import BaseFiles
from formation.build.service_tree import Listed, Node
from formation.contents.elf import MAGIC, Held, parse_elf
from formation.debian.deb822 import Stanza
from formation.debian.package import BinaryPackage
from formation.debian.stanza import package_from_stanza
from formation.definition.load import load_service
from formation.definition.service_values import ServiceDefinition

HEAD = "kind: service\nname: formation/form-dns\nversion: 1.2.3\nbase: formation/base:1.0.0\n"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nformation:x:999:999::/home/formation:/usr/sbin/nologin\n"
GROUP = b"root:x:0:\nformation:x:999:\n"


def service_in(directory: Path, body: str = "", head: str = HEAD) -> ServiceDefinition:
    """The service of a formation.yaml with `body` in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "formation.yaml").write_text(head + body)
    return load_service(directory)


def installed(name: str, version: str = "1.0", **fields: str) -> BinaryPackage:
    """A package of a base."""
    stanza = {"Package": name, "Version": version, "Architecture": "amd64", "Filename": "x", "Size": "0"}
    more = {key.replace("_", "-"): value for key, value in fields.items()}
    return package_from_stanza(Stanza({**stanza, "SHA256": "0" * 64, **more}), archive="", suite="")


def node(content: bytes, mode: int = 0o755) -> Node:
    """A file of this content."""
    return Node("file", mode, elf=parse_elf(Held(content)) if content.startswith(MAGIC) else None)


def tree(files: Mapping[str, bytes | str]) -> Listed:
    """Files by relative path, with the directories above them; text that begins with `->` is a symbolic link."""
    nodes: dict[str, Node] = {}
    for path, content in files.items():
        parts = path.split("/")
        nodes.update({"/".join(parts[:end]): Node("directory") for end in range(1, len(parts))})
        nodes[path] = Node("symlink", 0o777, content[2:]) if isinstance(content, str) else node(content)
    return Listed(nodes)


MERGED = {
    "bin": "->usr/bin",
    "lib": "->usr/lib",
    "lib64": "->usr/lib64",
    "usr/bin/dash": b"program",
    "usr/bin/sh": "->dash",
    "usr/bin/env": b"program",
    "usr/bin/bash": b"program",
    "usr/bin/dpkg": b"program",
    "usr/lib64/ld-linux-x86-64.so.2": "->../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": elf_bytes(interpreter=None, soname="ld-linux-x86-64.so.2"),
    "usr/lib/x86_64-linux-gnu/libc.so.6": elf_bytes(
        interpreter=LOADER, soname="libc.so.6", provides=("GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.34", "GLIBC_PRIVATE")
    ),
    "usr/lib/x86_64-linux-gnu/libz.so.1": "->libz.so.1.3",
    "usr/lib/x86_64-linux-gnu/libz.so.1.3": elf_bytes(interpreter=None, soname="libz.so.1"),
    "usr/local/lib/readme": b"",
    "opt/private/libodd.so.1": elf_bytes(interpreter=None, soname="libodd.so.1"),
}
"""A Debian with a merged /usr, as small as it can be."""


def base_files(more: Mapping[str, bytes | str] | None = None, texts: Mapping[str, bytes] | None = None) -> BaseFiles:
    """A base of MERGED and `more`."""
    settings = {"etc/passwd": PASSWD, "etc/group": GROUP, "etc/ld.so.conf.d/libc.conf": b"# libc\n/usr/local/lib\n"}
    return BaseFiles(tree({**MERGED, **(more or {})}), {**settings, **(texts or {})})
