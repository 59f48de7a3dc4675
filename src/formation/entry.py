"""One thing in a file tree, as a tar header or an inode describes it: what packages, trees and layers share."""

from typing import Literal

from formation.dataclass import dataclass, field

WHITEOUT = ".wh."
"""How the name of a layer entry that removes another begins: no file may be called so. Source: OCI's layer.md."""

DEEPEST = 256
"""Directories above a path. Of 4,096 bytes a path may have 2,048; nobody nests a tenth of that."""

EntryType = Literal["file", "directory", "symlink", "hardlink", "character", "block", "fifo"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, directory, link or device. Content, where there is any, travels beside it."""

    path: str
    """Relative to the root, without a leading or trailing slash; empty for the root itself. Bytes that are not UTF-8
    are kept as surrogate escapes, whatever the locale: see `encode_path`."""
    type: EntryType
    mode: int
    """Permission bits with setuid, setgid and sticky: 0 to 0o7777."""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    """Seconds since 1970, whole."""
    size: int = 0
    """Of the content in bytes; 0 for all but files."""
    target: str = ""
    """A symlink's target as written; a hardlink's as a path in the form of `path`; empty otherwise."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Name and value of each extended attribute, sorted by name."""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a character or block device."""
    names: tuple[str, str] = field(default=("", ""), compare=False)
    """User and group by name, as a tar header has them; empty where nobody told. The numbers count, but for dpkg."""

    @property
    def first_name(self) -> str:
        """The path by which a file was written, where this is a further name of it; else its own."""
        return self.target if self.type == "hardlink" else self.path


def is_too_deep(path: str) -> bool:
    """Whether `path` lies below more directories than are looked at."""
    return path.count("/") > DEEPEST + 1


def encode_path(text: str) -> bytes:
    """The bytes of a path or link target. Not `os.fsencode`, which depends on the locale."""
    return text.encode("utf-8", "surrogateescape")


def decode_path(data: bytes) -> str:
    """The text of a path or link target; the inverse of `encode_path` for any bytes."""
    return data.decode("utf-8", "surrogateescape")


def decode_lines(data: bytes) -> list[str]:
    """The lines of a file as `lines_of` has them; bytes that are not UTF-8 as in `decode_path`."""
    return lines_of(decode_path(data))


def lines_of(text: str) -> list[str]:
    """The lines of a file of the image. Only a newline ends one: `splitlines` takes characters that names and comments
    may have for the ends of lines."""
    return text.removesuffix("\n").split("\n") if text else []
