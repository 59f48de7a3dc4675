"""A .deb becomes a segment: its files unpacked once, and compressed as they will stand in a layer.

A segment holds files, symlinks and hard links, sorted by the bytes of their paths, but neither directories nor the end
of a tar archive. A layer is a piece with its directories, the segments of its packages, and a piece with the end.
"""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from isal.isal_zlib import crc32

from formation.debian.deb import Deb, open_deb
from formation.digest import check_file
from formation.errors import system_error
from formation.install.content import add_content
from formation.install.placement import SegmentSpec
from formation.install.segment_record import (
    ControlMember,
    Segment,
    load_segment,
    segment_json,
    segment_key,
    write_contents,
)
from formation.install.unpacking import Unpacking
from formation.oci.pieces import Pieces


def make_segment(
    deb: Path,
    digest: str,
    spec: SegmentSpec,
    *,
    kept: Path | None,
    out: Path,
    name: str | None = None,
    checked: bool = False,
) -> Segment:
    """The segment of the package file `deb`, which must have `digest`, made below `out` unless it is there already.

    `out` is a directory of the store.

    With `kept`, its files are there too, as `PackageFiles` has them; this needs the privilege to chown. `kept` must be
    on one file system with its parent. Each file appears when it is complete and KEY.json last, so a killed run, or two
    at once, do no harm; what a killed run leaves has a name that begins with a dot.

    Messages call the package `name`, or by its file name. `checked` says that its digest was seen just now, while it
    came, and saves reading it once more: what takes its name in the store meanwhile is verified as well.

    Raises IntegrityError when `deb` has another digest, MalformedError when it is not a proper package, FormationError
    when it cannot be written.
    """
    key = segment_key(digest, spec)
    known = load_segment(out, key)
    if known is not None and (kept is None or kept.is_dir()):
        return known
    if not checked:
        check_file(deb, digest)
    try:
        with (
            _scratch_directory(kept.parent if kept else out, key) as root,
            _scratch_files(out, key) as files,
            open_deb(deb, name) as package,
        ):
            segment = _make(package, digest, spec, key, root, files, owned=kept is not None)
            if kept is not None:
                _place(root, kept)
            for file in files:
                file.replace(out / f"{key}{file.suffix}")
    except OSError as error:
        raise system_error(f"cannot unpack {name or deb.name} into {out.parent}", error, out.parent) from None
    return segment


def _make(
    package: Deb, digest: str, spec: SegmentSpec, key: str, root: Path, files: tuple[Path, ...], *, owned: bool
) -> Segment:
    """Unpacks `package` into `root`, and writes the three `files` of its segment."""
    compressed, listing, record = files
    unpacking = Unpacking(package, spec, root, owned=owned)
    contents = unpacking.run()
    with compressed.open("xb") as file:
        sink = _Summed(file)
        content = _Checksum()
        pieces = Pieces(sink, spec.compression, content)
        add_content(pieces, contents.entries, root, unpacking.content)
        pieces.flush()
    with listing.open("xb") as file:
        sections, checksums = write_contents(file, contents)
    segment = Segment(
        key=key,
        deb=digest,
        compression=spec.compression,
        size=pieces.size,
        checksum=sink.checksum,
        uncompressed_size=pieces.uncompressed_size,
        content_checksum=content.value,
        newest=unpacking.newest,
        control=tuple(
            ControlMember(name, len(data), package.control_modes[name]) for name, data in contents.control.items()
        ),
        sections=sections,
        checksums=checksums,
    )
    record.write_bytes(segment_json(segment))
    return segment


@contextmanager
def _scratch_files(directory: Path, key: str) -> Iterator[tuple[Path, ...]]:
    """Names for the three files of a segment, in the order in which they may appear; gone at the end unless renamed."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f".{key[:16]}.{secrets.token_hex(8)}"
    files = tuple(directory / f"{stem}{suffix}" for suffix in (".seg", ".contents", ".json"))
    try:
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)


@contextmanager
def _scratch_directory(directory: Path, key: str) -> Iterator[Path]:
    """A new directory beside the final place; gone at the end unless it was renamed."""
    directory.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=f".{key[:16]}.", dir=directory))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _place(root: Path, kept: Path) -> None:
    try:
        root.rename(kept)
    except OSError:
        # Another process was first. The directory appears complete, so theirs is as good.
        if not kept.is_dir():
            raise


class _Checksum:
    """The CRC-32 of what it is updated with."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes bytes."""
        self.value = crc32(data, self.value)


class _Summed:
    """A file that is summed up while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.checksum = 0
        """CRC-32 of what was written."""

    def write(self, data: bytes) -> None:
        """Appends `data`."""
        self._file.write(data)
        self.checksum = crc32(data, self.checksum)
