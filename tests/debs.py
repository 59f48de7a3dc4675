"""Binary packages made in the test, proper ones and ones with a defect, with nothing but the standard library's tar.

    make_deb(tmp_path, "hello", files=[file("usr/bin/hello", b"#!/bin/sh\n", mode=0o755), symlink("hi", "hello")])

Directories that the entries need come by themselves. A defect is made by naming tar entries that do not belong
together, or by replacing a member of the archive by other bytes: `members={"data.tar.xz": data[:-10]}`.
"""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

MTIME = 1_700_000_000


@dataclass(frozen=True)
class Item:
    """One entry of data.tar, as it will be written: nothing is checked."""

    path: str
    type: bytes
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    target: str = ""
    size: int | None = None
    """What the header says; None: the truth."""
    user: str | None = None
    """By name; None: root's for 0, and none otherwise, since dpkg prefers a name to a number."""
    group: str | None = None


def file(path: str, content: bytes = b"", **fields: Any) -> Item:
    return Item(path, tarfile.REGTYPE, content, **fields)


def directory(path: str, mode: int = 0o755, **fields: Any) -> Item:
    return Item(path, tarfile.DIRTYPE, mode=mode, **fields)


def symlink(path: str, target: str, **fields: Any) -> Item:
    return Item(path, tarfile.SYMTYPE, mode=0o777, target=target, **fields)


def hard_link(path: str, target: str, **fields: Any) -> Item:
    return Item(path, tarfile.LNKTYPE, target=target, **fields)


def device(path: str, type_: bytes = tarfile.CHRTYPE) -> Item:
    return Item(path, type_)


def make_deb(
    where: Path,
    name: str = "hello",
    *,
    version: str = "1.0",
    architecture: str = "all",
    fields: Mapping[str, str] | None = None,
    files: Iterable[Item] = (),
    control: Mapping[str, bytes | str] | None = None,
    compression: str = "xz",
    parents: bool = True,
    tar_format: int = tarfile.GNU_FORMAT,
    members: Mapping[str, bytes] | None = None,
    extra: Iterable[tuple[str, bytes]] = (),
    trailing: bytes = b"",
) -> Path:
    """Writes NAME_VERSION_ARCHITECTURE.deb into the directory `where`.

    `fields` are added to the control file, and those of a known name replace it. `control` are further control members
    (scripts get mode 0755). `members` replaces the bytes of the member so named, or of `data.tar` and `control.tar`
    *before* compression. `extra` members follow data.tar.
    """
    members = dict(members or {})
    data = members.get("data.tar") or data_tar(files, parents=parents, tar_format=tar_format)
    stanza = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Maintainer": "Test <test@example.org>",
        "Installed-Size": str(len(data) // 1024 + 1),
        "Description": "made for a test",
    } | dict(fields or {})
    parts: dict[str, bytes | str] = {"control": "".join(f"{key}: {value}\n" for key, value in stanza.items())}
    control_data = members.get("control.tar") or control_tar(parts | dict(control or {}))
    suffix = {"none": "", "gz": ".gz", "xz": ".xz", "bz2": ".bz2", "lzma": ".lzma", "zst": ".zst"}[compression]
    # deb(5) knows fewer compressions for control.tar.
    control_suffix = suffix if compression in ("none", "gz", "xz", "zst") else ".xz"
    archive = [
        ("debian-binary", b"2.0\n"),
        (f"control.tar{control_suffix}", compress(control_data, control_suffix)),
        (f"data.tar{suffix}", compress(data, suffix)),
    ]
    path = where / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
    path.write_bytes(ar([(key, members.get(key, value)) for key, value in archive] + list(extra)) + trailing)
    return path


def data_tar(files: Iterable[Item], *, parents: bool = True, tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    """A data.tar with `./` names; with `parents`, directories come before what needs them."""
    buffer = io.BytesIO()
    seen: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        items = list(files)
        seen.update(item.path for item in items if item.type == tarfile.DIRTYPE)
        if parents and "" not in seen:
            _add(archive, directory(""))
        made: set[str] = set()
        for item in items:
            if parents:
                steps = item.path.split("/")[:-1]
                for count in range(1, len(steps) + 1):
                    parent = "/".join(steps[:count])
                    if parent not in seen | made and ".." not in steps:
                        made.add(parent)
                        _add(archive, directory(parent))
            _add(archive, item)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, item: Item) -> None:
    absolute = item.path.startswith("/")
    info = tarfile.TarInfo(item.path if absolute else f"./{item.path}")
    info.type, info.mode, info.uid, info.gid, info.mtime = item.type, item.mode, item.uid, item.gid, item.mtime
    info.size = len(item.content) if item.size is None else item.size
    hard = item.type == tarfile.LNKTYPE and not item.target.startswith("/")
    info.linkname = f"./{item.target}" if hard else item.target
    told = ((item.uid, item.user), (item.gid, item.group))
    info.uname, info.gname = (("root" if owner == 0 else "") if name is None else name for owner, name in told)
    archive.addfile(info)
    archive.fileobj.write(item.content + bytes(-len(item.content) % 512))
    archive.offset += len(item.content) + -len(item.content) % 512


def control_tar(members: Mapping[str, bytes | str]) -> bytes:
    """A control.tar of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, directory(""))
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            scripts = ("preinst", "postinst", "prerm", "postrm", "config")
            _add(archive, file(name, data, mode=0o755 if name in scripts else 0o644))
    return buffer.getvalue()


def compress(data: bytes, suffix: str) -> bytes:
    """`data` as the member with this suffix would hold it."""
    match suffix:
        case ".gz":
            return gzip.compress(data, mtime=0)
        case ".xz":
            return lzma.compress(data, preset=1)
        case ".lzma":
            return lzma.compress(data, lzma.FORMAT_ALONE, preset=1)
        case ".bz2":
            return bz2.compress(data)
        case ".zst":
            return zstandard.compress(data)
    return data


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    """An ar archive as dpkg-deb writes it."""
    result = b"!<arch>\n"
    for name, data in members:
        result += f"{name:<16}{MTIME:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        result += b"\n" * (len(data) % 2)
    return result
