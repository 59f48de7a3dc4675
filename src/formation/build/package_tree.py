"""The files of packages that a service adds, read when a program lacks something in the base."""

from collections.abc import Iterable
from pathlib import Path

from formation.build.service_tree import ELF_START, Node
from formation.contents.elf import MAGIC, Elf, Held, parse_elf
from formation.debian.deb import open_deb


def package_nodes(debs: Iterable[Path]) -> dict[str, Node]:
    """The files of packages. Raises MalformedError and FormationError."""
    nodes: dict[str, Node] = {}
    for deb in debs:
        with open_deb(deb) as opened:
            for entry, content in opened.entries():
                if entry.type == "hardlink":
                    nodes[entry.path] = nodes[entry.target]
                elif entry.path:
                    elf = _elf_in(content) if entry.type == "file" else None
                    nodes[entry.path] = Node(entry.type, entry.mode, entry.target, elf)
    return nodes


def _elf_in(content: Iterable[bytes]) -> Elf | None:
    chunks = iter(content)
    start = next(chunks, b"")
    if not start.startswith(MAGIC):
        return None
    while len(start) < ELF_START and (chunk := next(chunks, b"")):
        start += chunk
    return parse_elf(Held(start))
