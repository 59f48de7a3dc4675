"""The level that a path deserves which is not as before. Pure; docs/versions.md has the rules as a table."""

import re
from collections.abc import Iterable, Iterator

from formation.release.changes import FileChange, FileState, LayerChange
from formation.release.level import Level, Reason

NOT_PROMISED = re.compile(
    r"/(?:dev|proc|run|sys|tmp|boot|var/(?:cache|tmp|backups|lib/(?:dpkg|apt|systemd|ucf|pam|shells\.state))|etc/systemd"
    r"|usr/(?:share/(?:doc|man|info|locale|lintian|bug)|lib/python3))(?:/|$)|.*/__pycache__$"
)
"""Directories that maintainer scripts and engines make for themselves."""
_OWN = re.compile(r"/(?:etc|usr/local|opt|srv|app|home)/.+")
_GENERATED = re.compile(
    r"/etc/(?:ssl/certs/.*|ca-certificates\.conf|alternatives/.*|ld\.so\.cache|(?:passwd|group|shadow|gshadow|subuid|subgid)-?"
    r"|apt/.*|dpkg/.*|systemd/.*|rc[0-6S]\.d/.*|pam\.d/.*|machine-id|\.pwd\.lock|hostname|hosts|resolv\.conf"
    r"|mtab|localtime|timezone|environment|shells|ld\.so\.conf\.d/.*|default/.*)|.*\.pyc"
)
"""Files below _OWN that maintainer scripts write, and that are told otherwise: users, commands, packages."""
_ALIAS = re.compile(r"/(?:bin|sbin|lib|lib32|lib64|libx32|libo32)")
"""Links of a merged /usr: programs and scripts name their interpreters by them, as /lib64/ld-linux-x86-64.so.2."""
_PROGRAM = re.compile(r"/(?:.+/)?(?:s?bin|libexec|games|lib(?:32|64|x32|o32)?)/.+")
"""Debian has the helpers of programs below /usr/lib."""
_LIBRARY = re.compile(r".*/(?!ld[^/]*\.so\.)[^/]+\.so(?:\.[^/]*)?")
"""What is loaded, not run, whatever its mode; but the kernel runs ld.so itself (ld.so(8))."""
_SET_ID = 0o6000
NAMES_SHOWN = 5


def file_reasons(change: FileChange) -> Iterator[Reason]:
    """Aliases, access to what packages bring, and files of no package; everything else in packages is theirs."""
    old, new = change.old, change.new
    if _ALIAS.fullmatch(change.path) and old is not None and old.type == "symlink":
        yield from _alias(change.path, old, new)
        return
    own = _OWN.fullmatch(change.path) and not _GENERATED.fullmatch(change.path)
    if (change.package or not own) and old is not None and new is not None and old.type == new.type == "file":
        yield from _use(change.path, old, new)
        return
    if change.package:
        if old is not None and new is not None and old.type == new.type == "directory":
            yield from _access("directory", change.path, change.what, old, new)
        return
    if not own:
        return
    if old is None or new is None:
        if (old or new) is not None and "directory" not in {state.type for state in (old, new) if state is not None}:
            level = Level.MINOR if old is None else Level.MAJOR
            yield Reason(level, f"file-{change.kind}", f"file {change.path} {change.kind}")
        return
    if "type" in change.what:
        yield Reason(Level.MAJOR, "file-type", f"{change.path}: {old.type} → {new.type}")
    elif new.type != "directory":
        yield from _access("file", change.path, change.what, old, new)
        yield from _capabilities(change.path, old, new)
        if "content" in change.what or "target" in change.what:
            yield Reason(Level.MINOR, "file-content", f"file {change.path} has another content")


def content_reasons(files: tuple[FileChange, ...], layers: Iterable[LayerChange]) -> Iterator[Reason]:
    """Layers that are not as before, although nothing that anybody may rely on is: a version has one content only."""
    if all(layer.kind == "kept" for layer in layers):
        return
    shown = ", ".join(map(_shown, files[:NAMES_SHOWN]))
    more = len(files) - NAMES_SHOWN
    if shown:
        yield Reason(Level.PATCH, "content", f"other content in {shown}{f' and {more} more files' if more > 0 else ''}")
    else:
        yield Reason(Level.PATCH, "content", "the layers are other ones, with the same files")


def _shown(file: FileChange) -> str:
    if file.old is None or file.new is None or "mode" not in file.what:
        return file.path
    return f"{file.path} (mode {file.old.mode:04o} → {file.new.mode:04o})"


def _alias(path: str, old: FileState, new: FileState | None) -> Iterator[Reason]:
    if new is None:
        yield Reason(Level.MAJOR, "alias-removed", f"{path}, which stands for {old.target}, is gone")
    elif new.type != "symlink":
        yield Reason(Level.MAJOR, "alias-changed", f"{path} is a {new.type}, and does not stand for {old.target}")
    elif new.target.lstrip("/") != old.target.lstrip("/"):
        yield Reason(Level.MAJOR, "alias-changed", f"{path} stands for {new.target}, not for {old.target}")


def _use(path: str, old: FileState, new: FileState) -> Iterator[Reason]:
    """Who can do what with a file of a package, or a generated one, and what it can do: upgrades seldom take that."""
    if NOT_PROMISED.match(path):
        return
    lost, gained = old.mode & ~new.mode, new.mode & ~old.mode
    text = f"file {path}: mode {old.mode:04o} → {new.mode:04o}"
    if verbs := _verbs(path, lost & 0o005):
        yield Reason(Level.MAJOR, "file-mode", f"{text}: others cannot {verbs} it any more")
    if lost & _SET_ID:
        yield Reason(Level.MAJOR, "file-set-id", f"{text}: it does not run as {_rights(lost)} any more")
    if gained & _SET_ID:
        yield Reason(Level.MINOR, "file-set-id", f"{text}: whoever runs it, it runs as {_rights(gained)}")
    yield from _owners(path, old, new)
    yield from _capabilities(path, old, new)


def _owners(path: str, old: FileState, new: FileState) -> Iterator[Reason]:
    """What the owner and the group of a file lose with it, where they could do more than others can now."""
    text = f"file {path}: owner {old.uid}:{old.gid} → {new.uid}:{new.gid}"
    for whom, shift, set_id, was, now in (
        ("user", 6, 0o4000, old.uid, new.uid),
        ("group", 3, 0o2000, old.gid, new.gid),
    ):
        if was == now:
            continue
        if old.mode & new.mode & set_id:
            yield Reason(Level.MAJOR, "file-set-id", f"{text}: it runs as another {whom}")
        # The kernel asks root for no bits.
        if (whom, was) != ("user", 0) and (verbs := _verbs(path, old.mode >> shift & ~new.mode & 0o007)):
            yield Reason(Level.MAJOR, "file-owner", f"{text}: the {whom} {was} cannot {verbs} it any more")


def _capabilities(path: str, old: FileState, new: FileState) -> Iterator[Reason]:
    if old.capabilities == new.capabilities:
        return
    level = Level.MAJOR if old.capabilities else Level.MINOR
    text = f"{capabilities_text(old)} → {capabilities_text(new)}"
    yield Reason(level, "file-attributes", f"file {path}: {text}")


def capabilities_text(state: FileState) -> str:
    """`capabilities 0100000200200000…`, or `no capabilities`."""
    return f"capabilities {state.capabilities}" if state.capabilities else "no capabilities"


def _verbs(path: str, bits: int) -> str:
    """`read or run`, by the permission bits of one class; of a file that nobody would run, without that."""
    runs = _PROGRAM.fullmatch(path) and not _LIBRARY.fullmatch(path)
    return " or ".join(
        verb for bit, verb in ((4, "read"), (2, "write"), (1, "run")) if bits & bit and (bit != 1 or runs)
    )


def _rights(mode: int) -> str:
    return " and ".join(whom for bit, whom in ((0o4000, "its owner"), (0o2000, "its group")) if mode & bit)


def _access(what: str, path: str, changed: tuple[str, ...], old: FileState, new: FileState) -> Iterator[Reason]:
    if "owner" in changed or "group" in changed:
        text = f"{what} {path}: owner {old.uid}:{old.gid} → {new.uid}:{new.gid}"
        yield Reason(Level.MAJOR, f"{what}-owner", text)
    if "mode" in changed:
        tighter = is_tighter(f"{old.mode:o}", f"{new.mode:o}")
        rule = f"{what}-mode" if tighter else f"{what}-loosened"
        text = f"{what} {path}: mode {old.mode:04o} → {new.mode:04o}"
        yield Reason(Level.MAJOR if tighter else Level.MINOR, rule, text)


def is_tighter(old: str, new: str) -> bool:
    """Whether a mode, as four octal digits, denies something that the one before allowed."""
    before, after = int(old, 8), int(new, 8)
    return bool(before & 0o6777 & ~after) or bool(after & 0o1000 & ~before)
