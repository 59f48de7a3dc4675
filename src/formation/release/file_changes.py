"""What of an image's files is not as before."""

from collections.abc import Iterator

from formation.contents.filesystem import Filesystem
from formation.contents.merge import Node
from formation.contract.facts import Facts
from formation.release.changes import FileChange, FileState


def file_changes(old: Facts, new: Facts) -> Iterator[FileChange]:
    """Each path that one side lacks or has otherwise, sorted; times do not count."""
    before, after = old.files, new.files
    owners = {**_owners(old), **_owners(new)}
    for path in sorted({*before.paths(), *after.paths()}):
        was, now = before.get(path), after.get(path)
        shown = f"/{path}"
        owner = owners.get(path, "")
        if was is None and now is not None:
            yield FileChange("added", shown, (), None, _state(now), owner)
        elif now is None and was is not None:
            yield FileChange("removed", shown, (), _state(was), None, owner)
        elif was is not None and now is not None and (what := _what(was, now)):
            yield FileChange("changed", shown, what, _state(was), _state(now), owner)


def _what(old: Node, new: Node) -> tuple[str, ...]:
    was, now = old.entry, new.entry
    if was[1:5] == now[1:5] and was[6:] == now[6:]:
        return ()
    different = {
        "type": was.type != now.type,
        "content": was.sha256 != now.sha256 and was.type == now.type,
        "target": was.target != now.target and was.type == now.type,
        # Linux gives every symlink the same mode; tars differ in what they write.
        "mode": was.mode != now.mode and "symlink" not in (was.type, now.type),
        "owner": was.uid != now.uid,
        "group": was.gid != now.gid,
        "attributes": was.xattrs != now.xattrs or was.device != now.device,
    }
    return tuple(name for name, differs in different.items() if differs)


def _state(node: Node) -> FileState:
    entry = node.entry
    # The one attribute that gives rights; what else there may be, engines leave out when they unpack a layer.
    capabilities = dict(entry.xattrs).get("security.capability", b"").hex()
    return FileState(entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.target, entry.sha256, capabilities)


def _owners(facts: Facts) -> dict[str, str]:
    """Path → the package that has it; of a directory of several, the last."""
    found = {}
    for package, listing in zip(facts.packages, facts.listings, strict=True):
        if package.installed:
            for path in listing.paths or ():
                found[_placed(facts.files, path)] = package.name
    return found


def _placed(files: Filesystem, path: str) -> str:
    """Where a path of dpkg's database is: packages may still name /lib where that is a link to /usr/lib."""
    return path if path in files else files.resolve(path, follow_last=False) or path
