"""What a definition adds to the installed packages: accounts, directories and files."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from formation.definition.values import Directory, File, Group, Pinned, User
from formation.entry import WHITEOUT, Entry
from formation.errors import DefinitionError, FormationError, UsageError
from formation.install.accounts import Accounts
from formation.install.inside import follow

_CHUNK = 1 << 20
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
    """An entry, and the content of a file: `content`, or what `source` has."""

    entry: Entry
    content: bytes | None = None
    source: File | None = None
    """A pinned file, whose content may be too large to hold."""

    def read(self) -> Iterator[bytes]:
        """The content, piece by piece. Raises FormationError when a source cannot be read, or was changed."""
        if self.source is None:
            yield self.content or b""
        else:
            yield from _pinned_content(self.source)

    @property
    def fingerprint(self) -> bytes:
        """Equal for equal contents, among those of one kind."""
        if self.source is None or self.source.pinned is None:
            return self.content or b""
        return self.source.pinned.digest.encode()


Look = Callable[[str], Path | None]
"""Where a path of the image can be read on this machine; None when the image does not have it."""


def realise(additions: Additions, look: Look, epoch: int) -> list[Added]:
    """The entries that `additions` come to in an image that `look` shows; every time is `epoch`.

    Parents that the image lacks are added, owned by root with mode 0755. Raises DefinitionError, with the line that
    asks for it, for an unknown owner, an id that is taken, and a path that leads through a file.
    """
    accounts = _read_accounts(look)
    after = accounts
    for group in additions.groups:
        with _said_at(group.place):
            after = after.with_group(group)
    for user in additions.users:
        with _said_at(user.place):
            after = after.with_user(user, epoch)
    added = _account_files(accounts, after, epoch)
    places: dict[str, str] = {}
    items: list[Directory | File] = [*sorted(additions.directories, key=lambda d: d.path), *additions.files]
    for item in items:
        with _said_at(item.place):
            new = _placed(item, after, look, epoch)
            added[new.entry.path] = new
            places[new.entry.path] = item.place
    return _with_parents(added, places, look, epoch)


def pin(file: File) -> File:
    """`file` with what its source holds now; itself when it has none. Raises FormationError when it cannot be read."""
    if file.source is None:
        return file
    try:
        with file.source.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            return replace(file, pinned=Pinned(f"sha256:{digest}", opened.tell()))
    except OSError as error:
        raise FormationError(f"cannot read {file.source} for {file.path}: {error.strerror}") from error


@contextmanager
def _said_at(place: str) -> Iterator[None]:
    """Errors of the block become the definition's, at `place`; they stay what they are where that is empty."""
    try:
        yield
    except FormationError as error:
        if not place:
            raise
        raise DefinitionError(f"{place}: {error.message}", hint=error.hint) from None


def _account_files(before: Accounts, after: Accounts, epoch: int) -> dict[str, Added]:
    """Those that changed, by path."""
    added = {}
    for name, mode in _ACCOUNT_FILES.items():
        text = getattr(after, name)
        if text != getattr(before, name):
            gid = after.group_id("shadow") if name.endswith("shadow") else 0
            data = text.encode("utf-8", "surrogateescape")
            entry = Entry(f"etc/{name}", "file", mode, 0, gid, epoch, len(data))
            added[entry.path] = Added(entry, data)
    return added


def _placed(item: Directory | File, accounts: Accounts, look: Look, epoch: int) -> Added:
    """The entry of a directory or file, where the image has a place for it."""
    path = _resolve(item.path, look)
    owner, group = accounts.user_id(item.owner), accounts.group_id(item.group)
    if isinstance(item, Directory):
        added = Added(Entry(path, "directory", item.mode, owner, group, epoch))
    elif item.content is not None:
        added = Added(Entry(path, "file", item.mode, owner, group, epoch, len(item.content)), item.content)
    else:
        file = item if item.pinned is not None else pin(item)
        if file.pinned is None:
            raise FormationError(f"{item.path} has neither content nor source")
        added = Added(Entry(path, "file", item.mode, owner, group, epoch, file.pinned.size), source=file)
    _require_place(added.entry, look)
    return added


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


def _resolve(path: str, look: Look) -> str:
    """`path` of the image without leading slash, its parents' symlinks (bin → usr/bin) followed inside the image.

    Raises FormationError for a loop of symlinks.
    """

    def read_link(name: str) -> str | None:
        place = look(name)
        return os.readlink(place) if place is not None and place.is_symlink() else None

    return follow(path, read_link, last=False)


def _read_accounts(look: Look) -> Accounts:
    texts = {}
    for name in _ACCOUNT_FILES:
        place = look(f"etc/{name}")
        texts[name] = (
            place.read_text("utf-8", "surrogateescape") if place and place.is_file() and not place.is_symlink() else ""
        )
    return Accounts(**texts)


def _pinned_content(file: File) -> Iterator[bytes]:
    """What the source of `file` has. Raises FormationError, at its end, when that is not what was pinned."""
    assert file.source is not None and file.pinned is not None
    seen, size = hashlib.sha256(), 0
    try:
        with file.source.open("rb") as opened:
            while size <= file.pinned.size and (data := opened.read(_CHUNK)):
                seen.update(data)
                size += len(data)
                yield data
    except OSError as error:
        raise FormationError(f"cannot read {file.source} for {file.path}: {error.strerror}") from error
    if f"sha256:{seen.hexdigest()}" != file.pinned.digest:
        raise FormationError(
            f"{file.source} was changed while the image was built", hint="build again when nothing writes to it"
        )


def _with_parents(added: dict[str, Added], places: Mapping[str, str], look: Look, epoch: int) -> list[Added]:
    complete = dict(added)
    for path in added:
        for parent in parents(path):
            if parent in complete:
                continue
            place = look(parent)
            if place is None:
                complete[parent] = Added(Entry(parent, "directory", 0o755, mtime=epoch))
            elif not place.is_dir():
                with _said_at(places.get(path, "")):
                    raise FormationError(f"/{path} cannot be made: /{parent} is not a directory")
    return sorted(complete.values(), key=lambda item: item.entry.path.encode("utf-8", "surrogateescape"))


def parents(path: str) -> Sequence[str]:
    """The directories above `path`, outermost first, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
