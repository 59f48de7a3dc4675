"""What a definition adds to the installed packages: accounts, directories and files."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from formation.dataclass import dataclass, field, replace
from formation.definition.hardening import AS_PACKAGED, Hardening
from formation.definition.values import Directory, File, Group, Keyring, Pinned, RunDirectory, User
from formation.entry import WHITEOUT, Entry, encode_path
from formation.errors import DefinitionError, FormationError, UsageError
from formation.install.accounts import Accounts
from formation.install.hardening import tightened, without_shells
from formation.install.inside import follow
from formation.install.view import View

_CHUNK = 1 << 20
_NEEDS_NO_PROGRAM = frozenset(
    # Nobody is to log in; and /bin/sh is of those who said nothing, and may stand on a base without any shell.
    {"/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sh"}
)
_ACCOUNT_FILES = {"passwd": 0o644, "group": 0o644, "shadow": 0o640, "gshadow": 0o640}


@dataclass(frozen=True, slots=True)
class Link:
    """A symlink that exists in the image."""

    path: str
    owner: str
    group: str
    target: str
    place: str = field(default="", compare=False, repr=False)
    """`FILE:LINE` that says so; empty for what no definition says."""


@dataclass(frozen=True, slots=True)
class Additions:
    """The part of a definition's variant, or of a service, that is not packages."""

    groups: tuple[Group, ...] = ()
    users: tuple[User, ...] = ()
    directories: tuple[Directory, ...] = ()
    files: tuple[File, ...] = ()
    links: tuple[Link, ...] = ()
    hardening: Hardening = AS_PACKAGED
    run_directories: tuple[RunDirectory, ...] = ()
    """Nothing is made for them; they may not be files."""
    keyrings: tuple[Keyring, ...] = ()
    """Something else brings them; they must be files."""


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


def realise(additions: Additions, view: View, epoch: int) -> list[Added]:
    """The entries that `additions` come to in an image that `view` shows; every time is `epoch`.

    Parents that the image lacks are added, owned by root with mode 0755. Raises DefinitionError, with the line that
    asks for it, for an unknown owner, an id that is taken, a home, volume or working directory that is a file, a shell
    that is no program, a keyring that is not there, and a path that leads through a file.
    """
    accounts = read_accounts(view)
    after = without_shells(accounts) if additions.hardening.accounts else accounts
    for group in additions.groups:
        with _said_at(group.place):
            after = after.with_group(group)
    for user in additions.users:
        with _said_at(user.place):
            after = after.with_user(user, epoch)
            _require_home(user, view)
    for wanted in additions.run_directories:
        with _said_at(wanted.place):
            _require_directory(wanted, view)
    added = _account_files(accounts, after, epoch)
    places: dict[str, str] = {}
    directories = sorted(additions.directories, key=lambda directory: directory.path)
    items: list[Directory | File | Link] = [*directories, *additions.links, *additions.files]
    for item in items:
        with _said_at(item.place):
            new = _placed(item, after, view, epoch)
            added[new.entry.path] = new
            places[new.entry.path] = item.place
    for user in additions.users:
        with _said_at(user.place):
            _require_shell(user, added, view)
    for keyring in additions.keyrings:
        with _said_at(keyring.place):
            _require_keyring(keyring, added, view)
    if additions.hardening.modes:
        added.update((entry.path, Added(entry)) for entry in tightened(view, added, epoch))
    return _with_parents(added, places, view, epoch)


def pin(file: File) -> File:
    """`file` with what its source holds now; itself when it has none. Raises FormationError when it cannot be read."""
    return file if file.source is None else replace(file, pinned=pinned(file.source, file.path))


def pinned(source: Path, path: str) -> Pinned:
    """What `source` holds now, which will be at `path` in the image. Raises FormationError when it cannot be read."""
    try:
        with source.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            return Pinned(f"sha256:{digest}", opened.tell())
    except OSError as error:
        raise FormationError(f"cannot read {source} for {path}: {error.strerror}") from error


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


def _placed(item: Directory | File | Link, accounts: Accounts, view: View, epoch: int) -> Added:
    """The entry of a directory, file or symlink, where the image has a place for it."""
    path = _resolve(item.path, view)
    owner, group = accounts.user_id(item.owner), accounts.group_id(item.group)
    if isinstance(item, Directory):
        added = Added(Entry(path, "directory", item.mode, owner, group, epoch))
    elif isinstance(item, Link):
        added = Added(Entry(path, "symlink", 0o777, owner, group, epoch, target=item.target))
    elif item.content is not None:
        added = Added(Entry(path, "file", item.mode, owner, group, epoch, len(item.content)), item.content)
    else:
        file = item if item.pinned is not None else pin(item)
        if file.pinned is None:
            raise FormationError(f"{item.path} has neither content nor source")
        added = Added(Entry(path, "file", item.mode, owner, group, epoch, file.pinned.size), source=file)
    _require_place(added.entry, view)
    return added


def _require_place(entry: Entry, view: View) -> None:
    """Raises UsageError where `entry` would take the place of something of another type, or would be a whiteout."""
    if entry.path.rpartition("/")[2].startswith(WHITEOUT):
        raise UsageError(f"/{entry.path} cannot be in an image: layers mark removed files by names with {WHITEOUT}")
    there = view.find(entry.path)
    if there is None:
        return
    if entry.type == "directory" and there.type != "directory":
        raise UsageError(f"the definition wants a directory at /{entry.path}, where a package has a file or symlink")
    if entry.type != "directory" and there.type == "directory":
        raise UsageError(f"the definition wants a {entry.type} at /{entry.path}, where packages have a directory")


def _require_home(user: User, view: View) -> None:
    """Raises UsageError for a home that is a file; one that is not there is made by nobody, and that is right."""
    there = view.find(_resolve(user.home, view))
    if there is not None and there.type == "file":
        raise UsageError(f"the home {user.home} of {user.name} is a file")


def _require_shell(user: User, added: Mapping[str, Added], view: View) -> None:
    """Raises UsageError for a login shell that is not there, or is no program."""
    place = _resolve(user.shell, view, last=True)
    if user.shell in _NEEDS_NO_PROGRAM or not {place, _resolve(user.shell, view)}.isdisjoint(added):
        return
    there = view.find(place)
    if there is None or there.type not in ("file", "hardlink") or not there.mode & 0o111:
        raise UsageError(
            f"the shell {user.shell} of {user.name} is no program of the image, so nobody can log in as {user.name}",
            hint="ask for the package that brings it, or write `shell: /usr/sbin/nologin`",
        )


def _require_keyring(keyring: Keyring, added: Mapping[str, Added], view: View) -> None:
    """Raises UsageError for a keyring that apt in the image would not find."""
    place = _resolve(keyring.path, view, last=True)
    there = added[place].entry if place in added else view.find(place)
    if there is None or there.type not in ("file", "hardlink"):
        raise UsageError(
            f"the archive {keyring.archive} is signed by {keyring.path}, which is no file of the image: apt in it "
            "would refuse the archive",
            hint="ask for the package that brings it, or put it there under files:; without `signed_by:` the image "
            "gets the key file that `keys:` names",
        )


def _require_directory(wanted: RunDirectory, view: View) -> None:
    """Raises UsageError for a volume or working directory that is a file, leads to one, or is below one."""
    path = _resolve(wanted.path, view, last=True)
    for each in (*parents(path), path):
        there = view.find(each)
        if there is None:
            return
        if there.type != "directory":
            reason = f"is a {there.type}" if each == path else f"is below /{each}, which is a {there.type}"
            raise UsageError(
                f"the {wanted.what} {wanted.path} {reason}, and engines start nothing there",
                hint="name a directory, or a path where there is nothing",
            )


def _resolve(path: str, view: View, *, last: bool = False) -> str:
    """`path` of the image without leading slash, its parents' symlinks (bin → usr/bin) followed inside the image, and
    itself when it is one and `last`.

    Raises FormationError for a loop of symlinks.
    """

    def read_link(name: str) -> str | None:
        there = view.find(name)
        return there.target if there is not None and there.type == "symlink" else None

    return follow(path, read_link, last=last)


def read_accounts(view: View) -> Accounts:
    """The account files of an image."""
    texts = {}
    for name in _ACCOUNT_FILES:
        there = view.find(f"etc/{name}")
        found = there is not None and there.type == "file"
        texts[name] = view.read(f"etc/{name}").decode("utf-8", "surrogateescape") if found else ""
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


def _with_parents(added: dict[str, Added], places: Mapping[str, str], view: View, epoch: int) -> list[Added]:
    complete = dict(added)
    for path in added:
        for parent in parents(path):
            if parent in complete:
                continue
            there = view.find(parent)
            if there is None:
                complete[parent] = Added(Entry(parent, "directory", 0o755, mtime=epoch))
            elif there.type != "directory":
                with _said_at(places.get(path, "")):
                    raise FormationError(f"/{path} cannot be made: /{parent} is not a directory")
    return sorted(complete.values(), key=lambda item: encode_path(item.entry.path))


def parents(path: str) -> Sequence[str]:
    """The directories above `path`, outermost first, without the root."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]
