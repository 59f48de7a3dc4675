"""Modes, owners and capabilities of what is in the image, and things that are no files."""

from collections.abc import Iterator
from typing import Final

from formation.security.findings import Check, Hit
from formation.security.subject import Subject

CAPABILITY: Final = "security.capability"
"""The extended attribute that carries file capabilities (capabilities(7))."""

DEBIAN_SETUID: Final = frozenset(
    {
        *("usr/bin/chfn", "usr/bin/chsh", "usr/bin/gpasswd", "usr/bin/mount", "usr/bin/newgrp", "usr/bin/passwd"),
        *("usr/bin/su", "usr/bin/umount", "usr/bin/chage", "usr/bin/expiry"),
        *("usr/sbin/unix_chkpwd", "sbin/unix_chkpwd"),
    }
)
"""What a minimal Debian 12 or 13 has; accepted unless the profile is strict."""

_SYSTEM = (
    *("usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib32/", "usr/lib64/", "usr/libexec/"),
    *("usr/local/bin/", "usr/local/sbin/", "usr/local/lib/", "bin/", "sbin/", "lib/", "lib32/", "lib64/"),
)
_SYSTEM_ROOTS = frozenset(prefix.rstrip("/") for prefix in _SYSTEM)
_SPECIAL = {"character": "a character device", "block": "a block device", "fifo": "a named pipe"}


def _setuid(subject: Subject) -> Iterator[Hit]:
    for path, node in subject.odd:
        entry = node.entry
        if entry.type != "file" or not entry.mode & 0o6000:
            continue
        if path in DEBIAN_SETUID and subject.is_owned(path) and not subject.strict:
            continue
        what = "setuid" if entry.mode & 0o4000 else "setgid"
        yield Hit(
            f"/{path} is {what}: mode {entry.mode:04o}, owner {_owner(subject, entry.uid, entry.gid)}", path, node.layer
        )


def _owner(subject: Subject, uid: int, gid: int) -> str:
    return f"{subject.facts.user_names.get(uid, uid)}:{subject.facts.group_names.get(gid, gid)}"


def _capabilities(subject: Subject) -> Iterator[Hit]:
    for path, node in subject.odd:
        if any(name == CAPABILITY for name, _ in node.entry.xattrs):
            yield Hit(f"/{path} has file capabilities", path, node.layer)


def _writable_files(subject: Subject) -> Iterator[Hit]:
    for path, node in subject.odd:
        if node.entry.type == "file" and node.entry.mode & 0o002:
            yield Hit(f"/{path} can be written by everyone: mode {node.entry.mode:04o}", path, node.layer)


def _writable_directories(subject: Subject) -> Iterator[Hit]:
    for path, node in subject.odd:
        entry = node.entry
        if entry.type != "directory" or not entry.mode & 0o002:
            continue
        if not entry.mode & 0o1000:
            yield Hit(f"/{path} can be written by everyone, and is not sticky: mode {entry.mode:04o}", path, node.layer)
        elif entry.uid:
            what = f"/{path} can be written by everyone, and belongs to uid {entry.uid} instead of root"
            yield Hit(what, path, node.layer)


def _unknown_owners(subject: Subject) -> Iterator[Hit]:
    """One hit for each unknown id: a tree that was copied with a stranger's ids has thousands of files."""
    first: dict[tuple[str, int], tuple[str, int]] = {}
    count: dict[tuple[str, int], int] = {}
    users, groups = subject.facts.user_names, subject.facts.group_names
    for path, node in subject.odd:
        entry = node.entry
        for kind, number, known in (("uid", entry.uid, users), ("gid", entry.gid, groups)):
            if number and number not in known:
                first.setdefault((kind, number), (path, node.layer))
                count[kind, number] = count.get((kind, number), 0) + 1
    for (kind, number), (path, layer) in sorted(first.items()):
        more = count[kind, number] - 1
        others = f" and {more} more paths belong" if more else " belongs"
        file = "passwd" if kind == "uid" else "group"
        yield Hit(f"/{path}{others} to {kind} {number}, which /etc/{file} does not have", path, layer)


def _special(subject: Subject) -> Iterator[Hit]:
    for layer, entry in subject.traces["special"]:
        # Overlay engines once wrote whiteouts so; that is a 0:0 character device.
        yield Hit(f"/{entry.path} is {_SPECIAL[entry.type]}{subject.fate(layer, entry.path)}", entry.path, layer)


def _system_files(subject: Subject) -> Iterator[Hit]:
    for path, node in subject.odd:
        entry = node.entry
        if not (path.startswith(_SYSTEM) or path in _SYSTEM_ROOTS):
            continue
        if entry.uid:
            yield Hit(f"/{path} belongs to uid {entry.uid} instead of root", path, node.layer)
        elif entry.type in ("file", "directory") and entry.mode & 0o022:
            who = "everyone" if entry.mode & 0o002 else f"the group {entry.gid}"
            yield Hit(f"/{path} can be changed by {who}: mode {entry.mode:04o}", path, node.layer)


CHECKS: Final = (
    Check(
        16,
        "setuid-file",
        "setuid or setgid programs that are not expected",
        "high",
        "CIS Docker 4.8, CIS-DI-0008, DISA 002235",
        "A mistake in one gives its owner's rights to whoever can run it.",
        "Remove the bits so that they stay removed: dpkg-statoverride --update --add root root 0755 FILE",
        _setuid,
    ),
    Check(
        17,
        "file-capability",
        "files with capabilities",
        "high",
        "own (CIS Docker 4.8 by other means), DISA 000381",
        "Whoever runs the file gets rights of root that the container may have.",
        "Remove them in the layer that sets them: setcap -r FILE",
        _capabilities,
    ),
    Check(
        18,
        "world-writable-file",
        "files that everyone can write",
        "medium",
        "SSG file_permissions_unauthorized_world_writable",
        "Any process of the container can change what another one reads or runs.",
        "chmod o-w FILE, in the layer that makes it",
        _writable_files,
    ),
    Check(
        19,
        "world-writable-directory",
        "directories that everyone can write, not sticky or not root's",
        "medium",
        "SSG dir_perms_world_writable_sticky_bits, SSG dir_perms_world_writable_root_owned, Lynis FILE-6362, FILE-6363",
        "Any user can remove or replace the files of another.",
        "chown root DIRECTORY && chmod 1777 DIRECTORY, or close it",
        _writable_directories,
    ),
    Check(
        20,
        "unknown-owner",
        "files of users or groups that do not exist",
        "medium",
        "SSG no_files_unowned_by_user, SSG file_permissions_ungroupowned",
        "The next account that gets the number owns the files.",
        "Copy with an owner (COPY --chown=root:root), or create the account",
        _unknown_owners,
    ),
    Check(
        21,
        "special-file",
        "device nodes and named pipes in layers",
        "medium",
        "own",
        "Engines that run without root refuse the layer; those that do not, write devices to the host's disk.",
        "Leave /dev out of the tar: --exclude=./dev/*; engines mount their own",
        _special,
    ),
    Check(
        22,
        "system-file-owner",
        "programs and libraries that others than root can change",
        "high",
        "SSG file_ownership_binary_dirs, SSG file_permissions_binary_dirs, SSG file_ownership_library_dirs",
        "Whoever can change a program runs code as everyone who starts it.",
        "chown root:root FILE && chmod go-w FILE, in the layer that makes it",
        _system_files,
    ),
)
