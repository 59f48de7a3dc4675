"""What a definition adds to the installed packages: accounts, directories and files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from formation.definition.values import Directory, File, Group, User
from formation.entry import WHITEOUT, Entry
from formation.errors import FormationError, UsageError
from formation.install.accounts import Accounts

_ACCOUNT_FILES = {"passwd": 0o644, "group": 0o644, "shadow": 0o640, "gshadow": 0o640}


@dataclass(frozen=True, slots=True)
class Additions:
    """The part of a definition's variant that is not packages."""

    groups: tuple[Group, ...] = ()
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Added:
    """An entry, and the content of a file."""

    entry: Entry
    content: bytes | None = None


Look = Callable[[str], Path | None]
"""Where a path of the image can be read on this machine; None when the image does not have it."""


def realise(additions: Additions, look: Look, epoch: int) -> list[Added]:
    """The entries that `additions` come to in an image that `look` shows; every time is `epoch`.

    Parents that the image lacks are added, owned by root with mode 0755. Raises FormationError for an unknown owner,
    an id that is taken, and a path that leads through a file or out of the image.
    """
    accounts = _read_accounts(look)
    after = accounts
    for group in additions.groups:
        after = after.with_group(group)
    for user in additions.users:
        after = after.with_user(user, epoch)
    added: dict[str, Added] = {}
    for name, mode in _ACCOUNT_FILES.items():
        text = getattr(after, name)
        if text != getattr(accounts, name):
            gid = after.group_id("shadow") if name.endswith("shadow") else 0
            data = text.encode("utf-8", "surrogateescape")
            entry = Entry(f"etc/{name}", "file", mode, 0, gid, epoch, len(data))
            added[entry.path] = Added(entry, data)
    for directory in sorted(additions.directories, key=lambda d: d.path):
        entry = Entry(
            resolve(directory.path, look),
            "directory",
            directory.mode,
            after.user_id(directory.owner),
            after.group_id(directory.group),
            epoch,
        )
        _require_place(entry, look)
        added[entry.path] = Added(entry)
    for file in additions.files:
        content = file.content if file.content is not None else _source(file)
        entry = Entry(
            resolve(file.path, look),
            "file",
            file.mode,
            after.user_id(file.owner),
            after.group_id(file.group),
            epoch,
            len(content),
        )
        _require_place(entry, look)
        added[entry.path] = Added(entry, content)
    return _with_parents(added, look, epoch)


def _require_place(entry: Entry, look: Look) -> None:
    """Raises UsageError where `entry` would take the place of something of another type, or would be a whiteout."""
    if entry.path.rpartition("/")[2].startswith(WHITEOUT):
        raise UsageError(f"/{entry.path} cannot be in an image: layers mark removed files by names with {WHITEOUT}")
    place = look(entry.path)
    if place is None:
        return
    is_directory = place.is_dir() and not place.is_symlink()
    if entry.type == "directory" and not is_directory:
        raise UsageError(f"the definition wants a directory at /{entry.path}, where a package has a file or symlink")
    if entry.type == "file" and is_directory:
        raise UsageError(f"the definition wants a file at /{entry.path}, where packages have a directory")


def resolve(path: str, look: Look) -> str:
    """`path` of the image without leading slash, its parents' symlinks (bin → usr/bin) followed inside the image.

    Raises FormationError for a loop of symlinks.
    """
    done: list[str] = []
    parts = [part for part in path.split("/") if part]
    hops = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        place = look("/".join([*done, part])) if parts else None
        if place is not None and place.is_symlink():
            hops += 1
            if hops > 40:
                raise FormationError(f"{path} leads through a loop of symlinks")
            target = str(place.readlink())
            if target.startswith("/"):
                done = []
            parts = [step for step in target.split("/") if step not in ("", ".")] + parts
            continue
        done.append(part)
    return "/".join(done)


def _read_accounts(look: Look) -> Accounts:
    texts = {}
    for name in _ACCOUNT_FILES:
        place = look(f"etc/{name}")
        texts[name] = (
            place.read_text("utf-8", "surrogateescape") if place and place.is_file() and not place.is_symlink() else ""
        )
    return Accounts(**texts)


def _source(file: File) -> bytes:
    if file.source is None:
        raise FormationError(f"{file.path} has neither content nor source")
    try:
        return file.source.read_bytes()
    except OSError as error:
        raise FormationError(f"cannot read {file.source} for {file.path}: {error.strerror}") from error


def _with_parents(added: dict[str, Added], look: Look, epoch: int) -> list[Added]:
    complete = dict(added)
    for path in added:
        for parent in parents(path):
            if parent in complete:
                continue
            place = look(parent)
            if place is None:
                complete[parent] = Added(Entry(parent, "directory", 0o755, mtime=epoch))
            elif not place.is_dir():
                raise FormationError(f"/{path} cannot be made: /{parent} is not a directory")
    return sorted(complete.values(), key=lambda item: item.entry.path.encode("utf-8", "surrogateescape"))


def parents(path: str) -> Sequence[str]:
    """The directories above `path`, outermost first, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
