"""The files of packages that a service adds, read when a program lacks something in the base."""

import re
from collections.abc import Iterable
from pathlib import Path

from formation.build.service_tree import ELF_START, Node
from formation.contents.elf import MAGIC, Elf, Held, parse_elf
from formation.debian.deb import open_deb

_SCRIPTS = ("preinst", "postinst")


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


def may_bring(debs: Iterable[Path], program: str) -> bool:
    """Whether packages tell of `program`, a path or a name in PATH, without being unpacked.

    A file is in their md5sums. What a script makes is named in it: alternatives, such as awk and java, are in no
    package (update-alternatives(1)).
    """
    *above, name = program.encode("utf-8", "surrogateescape").split(b"/")
    directory = re.escape(above[-1]) if above else rb"s?bin"
    file = re.compile(rb"[ /]" + directory + rb"/" + re.escape(name) + rb"$", re.MULTILINE)
    word = re.compile(rb"(?<![\w.+-])" + re.escape(name) + rb"(?![\w+-])")
    for deb in debs:
        with open_deb(deb) as opened:
            if file.search(opened.control.get("md5sums", b"")):
                return True
            if any(word.search(opened.control.get(script, b"")) for script in _SCRIPTS):
                return True
    return False


def _elf_in(content: Iterable[bytes]) -> Elf | None:
    chunks = iter(content)
    start = next(chunks, b"")
    if not start.startswith(MAGIC):
        return None
    while len(start) < ELF_START and (chunk := next(chunks, b"")):
        start += chunk
    return parse_elf(Held(start))
