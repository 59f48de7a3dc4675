"""The measures of a definition's `hardening:` that installing takes: bits of programs, accounts, modes, traces."""

from collections.abc import Iterable, Mapping

from formation.dataclass import dataclass, replace
from formation.debian.statoverrides import StatOverride
from formation.definition.accounts import STATIC_USERS
from formation.definition.hardening import BACKUPS, NO_LOGIN, TIGHT_DIRECTORIES, Hardening
from formation.entry import Entry, lines_of
from formation.install.accounts import Accounts, names
from formation.install.placement import SegmentSpec, merged_path
from formation.install.view import View

SPECIAL_BITS = 0o6000
"""setuid and setgid."""

_NO_SHELLS = frozenset({NO_LOGIN, "/sbin/nologin", "/usr/bin/false", "/bin/false"})


@dataclass(frozen=True, slots=True)
class Privileged:
    """A program that runs with its owner's or group's rights, and shall not."""

    path: str
    """In the tree."""
    uid: int
    gid: int
    mode: int
    """Without the bits that give them."""


def privileged(entries: Iterable[Entry], hardening: Hardening) -> tuple[Privileged, ...]:
    """The setuid and setgid files among `entries` that the definition does not want so, all names of each."""
    if hardening.setuid is None:
        return ()
    kept = _kept(hardening.setuid)
    return tuple(
        Privileged(entry.path, entry.uid, entry.gid, entry.mode & ~SPECIAL_BITS)
        for entry in entries
        if entry.type in ("file", "hardlink") and entry.mode & SPECIAL_BITS and entry.path not in kept
    )


def _kept(paths: Iterable[str]) -> frozenset[str]:
    """Where in the tree the programs are that keep their bits."""
    return frozenset(merged_path(path.lstrip("/")) for path in paths)


def without_privileges(spec: SegmentSpec, found: Iterable[Privileged]) -> SegmentSpec:
    """`spec`, by which the programs that were `found` in a package have plain modes."""
    modes = {**dict(spec.modes), **{each.path: each.mode for each in found}}
    return replace(spec, modes=tuple(sorted(modes.items())))


def overriding(
    found: Iterable[Privileged], listed: Iterable[str], before: Iterable[StatOverride], accounts: Accounts
) -> tuple[StatOverride, ...]:
    """The overrides that keep what was `found` without privileges, after those that were there `before`.

    `listed` are the paths of all packages, as they ship them. Scripts may have said something for a path already, such
    as an owner that does not exist yet when the package is unpacked: ours comes in its place.
    """
    shipped = {merged_path(path.lstrip("/")): path for path in listed}
    users, groups = names(accounts.passwd), names(accounts.group)
    shown = {each.path: each for each in found}
    overrides = {each.path: each for each in before if merged_path(each.path.lstrip("/")) not in shown}
    for each in shown.values():
        path = shipped.get(each.path, f"/{each.path}")
        owner, group = users.get(each.uid, f"#{each.uid}"), groups.get(each.gid, f"#{each.gid}")
        overrides[path] = StatOverride(path, owner, group, each.mode)
    return tuple(overrides.values())


def without_promises(overrides: Iterable[StatOverride], view: View, hardening: Hardening) -> tuple[StatOverride, ...]:
    """`overrides` without the setuid and setgid that a file which is there would get when dpkg unpacks it again.

    `dpkg-statoverride --add` changes no file without `--update`. What is not there is somebody else's.
    """
    if hardening.setuid is None:
        return tuple(overrides)
    kept = _kept(hardening.setuid)

    def is_promise(path: str, mode: int) -> bool:
        there = view.find(path) if mode & SPECIAL_BITS and path not in kept else None
        return there is not None and there.type == "file"

    return tuple(
        replace(each, mode=each.mode & ~SPECIAL_BITS)
        if is_promise(merged_path(each.path.lstrip("/")), each.mode)
        else each
        for each in overrides
    )


def without_shells(accounts: Accounts) -> Accounts:
    """`accounts` in which nobody of base-passwd but root can log in: that leaves `sync` without its program."""
    lines = []
    for line in lines_of(accounts.passwd):
        fields = line.split(":")
        if len(fields) == 7 and fields[0] in STATIC_USERS and fields[0] != "root" and fields[6] not in _NO_SHELLS:
            line = ":".join([*fields[:6], NO_LOGIN])
        lines.append(line)
    return replace(accounts, passwd="".join(f"{line}\n" for line in lines))


def tightened(view: View, taken: Mapping[str, object], epoch: int) -> list[Entry]:
    """The directories of TIGHT_DIRECTORIES that the image has with another mode; those of `taken` are decided."""
    found = []
    for path, mode in TIGHT_DIRECTORIES.items():
        there = view.find(path.lstrip("/"))
        if there is not None and there.type == "directory" and there.mode != mode and there.path not in taken:
            found.append(replace(there, mode=mode, mtime=epoch))
    return found


def is_backup(path: str) -> bool:
    """Whether `path`, without a leading slash, is a backup of an account file."""
    return f"/{path}" in BACKUPS
