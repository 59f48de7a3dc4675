"""Whether the programs of an image can start: every library and symbol version that they need is there."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress

from formation.contents.elf import Elf
from formation.contents.libraries import Libraries, Library
from formation.contents.packages import InstalledPackage
from formation.contract.database import places_of
from formation.contract.facts import Facts
from formation.contract.findings import Finding
from formation.debian.relation import parse_provides, parse_relations
from formation.errors import MalformedError

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
    public = {library.path for library in facts.libraries.found.values()}
    # Of each library that is found by a run path alone.
    loaders: dict[str, list[tuple[str, Elf]]] = {}
    unfound: list[tuple[str, int, Elf, str]] = []
    unstarted: list[Finding] = []
    users: dict[str, list[str]] = {}
    for path, node in facts.files:
        if node.entry.type != "file":
            continue
        elf = facts.files.elf(node)
        if elf is None or elf.type not in ("executable", "shared"):
            continue
        left -= len(elf.needed) * (1 + len(elf.run_path))
        if left < 0:
            yield _unchecked(path)
            return
        for name in elf.needed:
            library = facts.libraries.provider(path, elf, name)
            if library is None:
                unfound.append((path, node.layer, elf, name))
                continue
            users.setdefault(library.path, []).append(path)
            if library.path not in public:
                loaders.setdefault(library.path, []).append((path, elf))
            yield from _versions(path, node.layer, elf, library)
        if elf.interpreter.startswith("/") and facts.files.find(elf.interpreter) is None:
            what = f"/{path} needs the dynamic linker {elf.interpreter}, which is missing"
            unstarted.append(Finding("libraries", "interpreter-missing", what, path=f"/{path}", layer=node.layer))
    packaged = _packaged(facts) if unfound or unstarted else {}
    present = {path.rpartition("/")[2] for path, _ in facts.files} if unfound else set()
    yield from (finding for finding in unstarted if _matters(finding.path[1:], packaged, public, users))
    for path, layer, elf, name in unfound:
        is_lost = packaged.get(path) is False and name not in present
        if not is_lost and not _matters(path, packaged, public, users):
            continue
        left -= sum(1 + len(loader.needed) for _, loader in loaders.get(path, ()))
        if left < 0:
            yield _unchecked(path)
            return
        library = _loaded_before(facts.libraries, name, loaders.get(path, ()))
        if library is not None:
            yield from _versions(path, layer, elf, library)
            continue
        what = f"/{path} needs {name}, and would not find it"
        yield Finding("libraries", "library-missing", what, path=f"/{path}", layer=layer)


def _packaged(facts: Facts) -> Mapping[str, bool]:
    """The files of packages, but for commands; True for those of packages whose dependencies are there."""
    both = [each for each in zip(facts.packages, facts.listings, strict=True) if each[0].installed]
    there = {name for package, _ in both for name in _names(package)}
    found: dict[str, bool] = {}
    for whole in (False, True):
        paths = {path for each, listing in both if _is_whole(each, there) == whole for path in listing.paths or ()}
        found |= dict.fromkeys(places_of(facts, paths).difference(facts.commands.values()), whole)
    return found


def _names(package: InstalledPackage) -> Iterator[str]:
    """What other packages may depend on it by."""
    yield package.name
    with suppress(MalformedError):
        text = package.stanza.get("Provides", "")
        yield from (relation.name for relation in parse_provides(text, package.architecture))


def _is_whole(package: InstalledPackage, there: Container[str]) -> bool:
    """Whether what it depends on is `there`, by name: not in a minimal variant, nor after dpkg --force-depends."""
    needs = [package.stanza.get(field, "") for field in ("Pre-Depends", "Depends")]
    try:
        groups = [group for text in needs for group in parse_relations(text, package.architecture)]
    except MalformedError:
        return False
    return all(any(relation.name in there for relation in group) for group in groups)


def _matters(path: str, packaged: Container[str], public: Container[str], users: Mapping[str, Sequence[str]]) -> bool:
    """Whether somebody would miss what the file `path` needs: a command, or what is of no package, such as a service.

    dpkg's dependencies are there for what a package cannot do without. What is neither a command nor needed by one may
    be loaded by a program that has what it needs before (libjvm.so), need what is only recommended (plugins of collectd
    and Subversion), or be for another system (QEMU's firmware). `users` are by library; those of private ones are of
    the same package.
    """
    seen, waiting = {path}, [path]
    while waiting:
        current = waiting.pop()
        if current not in packaged:
            return True
        above = [user for user in users.get(current, ()) if user not in seen] if current in public else []
        seen.update(above)
        waiting += above
    return False


def _unchecked(path: str) -> Finding:
    return Finding("libraries", "library-unchecked", f"/{path} and what follows need more than can be looked up")


def _versions(path: str, layer: int, elf: Elf, library: Library) -> Iterator[Finding]:
    """The symbol versions that `elf` needs and `library` lacks."""
    required = dict(elf.requires).get(library.name, ())
    lacking = [version for version in required if version not in library.elf.provides]
    # A library without any versions gives its symbols whatever version is asked for (ld.so warns).
    if lacking and library.elf.provides:
        what = f"/{path} needs {', '.join(lacking)} of {library.name}, which /{library.path} does not define"
        yield Finding("libraries", "symbol-version-missing", what, path=f"/{path}", layer=layer)


def _loaded_before(libraries: Libraries, name: str, loaders: Sequence[tuple[str, Elf]]) -> Library | None:
    """What a library gets for `name` when all its `loaders` need `name` too, and find it: ld.so(8) loads what one file
    needs before what those need in turn. None when that is not so, or nobody is known to load it."""
    found = [libraries.provider(path, elf, name) if name in elf.needed else None for path, elf in loaders]
    return found[0] if found and None not in found else None
