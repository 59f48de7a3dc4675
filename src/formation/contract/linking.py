"""Whether the programs of an image can start: every library and symbol version that they need is there."""

from collections.abc import Iterator

from formation.contents.elf import Elf
from formation.contract.facts import Facts
from formation.contract.findings import Finding

_MOST = 200
_MOST_STEPS = 2_000_000
"""Directories in which libraries are looked for, all together; a large image takes some ten thousand."""


def check_linking(facts: Facts) -> Iterator[Finding]:
    """ELF files whose libraries are missing, and commands of another architecture than the image's."""
    paths = set(facts.commands.values())
    for number, finding in enumerate(_missing(facts)):
        if number == _MOST:
            yield Finding("libraries", "library-missing", f"more than {_MOST} libraries are missing")
            break
        yield finding
    for path in sorted(paths):
        node = facts.files.get(path)
        elf = None if node is None else facts.files.elf(node)
        if node is None or elf is None or elf.architecture is None or facts.architecture is None:
            continue
        if elf.architecture != facts.architecture:
            what = f"/{path} is for {elf.architecture}, and the image for {facts.architecture}"
            yield Finding("image", "architecture", what, path=f"/{path}", layer=node.layer)


def _missing(facts: Facts) -> Iterator[Finding]:
    left = _MOST_STEPS
    for path, node in facts.files:
        if node.entry.type != "file":
            continue
        elf = facts.files.elf(node)
        if elf is None or elf.type not in ("executable", "shared"):
            continue
        left -= len(elf.needed) * (1 + len(elf.run_path))
        if left < 0:
            yield Finding("libraries", "library-unchecked", f"/{path} and what follows need more than can be looked up")
            return
        yield from _needs(facts, path, node.layer, elf)


def _needs(facts: Facts, path: str, layer: int, elf: Elf) -> Iterator[Finding]:
    required = dict(elf.requires)
    for name in elf.needed:
        library = facts.libraries.provider(path, elf, name)
        if library is None:
            what = f"/{path} needs {name}, and would not find it"
            yield Finding("libraries", "library-missing", what, path=f"/{path}", layer=layer)
            continue
        lacking = [version for version in required.get(name, ()) if version not in library.elf.provides]
        # A library without any versions gives its symbols whatever version is asked for (ld.so warns).
        if lacking and library.elf.provides:
            what = f"/{path} needs {', '.join(lacking)} of {name}, which /{library.path} does not define"
            yield Finding("libraries", "symbol-version-missing", what, path=f"/{path}", layer=layer)
    if elf.interpreter.startswith("/") and facts.files.find(elf.interpreter) is None:
        what = f"/{path} needs the dynamic linker {elf.interpreter}, which is missing"
        yield Finding("libraries", "interpreter-missing", what, path=f"/{path}", layer=layer)
