"""The verified indexes of one suite: from the archive's signature down to the bytes of each Packages file."""

import difflib
import lzma
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from isal import igzip_lib

from formation.dataclass import dataclass
from formation.debian.archive import Archive
from formation.debian.openpgp import Keyring, Signed, verify_cleartext, verify_detached
from formation.debian.release import IndexFile, Release, check_release, parse_release
from formation.digest import hexadecimal, sha256, sha256_file
from formation.errors import FormationError, IntegrityError, MalformedError, UsageError
from formation.network import Download, Downloader, GoneError

_LARGEST_RELEASE: Final = 16 << 20
_LARGEST_SIGNATURE: Final = 1 << 20
_LARGEST_INDEX: Final = 512 << 20
"""Ten times Debian's; an archive that promises more is not believed."""
_XZ_MEMORY: Final = 256 << 20
"""What liblzma may use; `xz -9` needs 65 MiB."""
_COMPRESSIONS: Final = (".xz", ".gz", "")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_~-]*(?:/[A-Za-z0-9][A-Za-z0-9.+_~-]*)*")


@dataclass(frozen=True, slots=True)
class FetchedIndex:
    """One Packages index, in the cache. It is decompressed only when somebody reads it."""

    component: str
    architecture: str
    """`all` for the separate index of some archives."""
    digest: str
    """Of the uncompressed index, `sha256:…`; of the compressed one where the Release lists nothing else."""
    file: Path
    """The index as it was downloaded, named by its own sha256."""
    compressed: IndexFile
    """What the Release says of `file`."""
    uncompressed: IndexFile | None
    """What the Release says of the uncompressed index; None: nothing."""

    def read(self) -> bytes:
        """The uncompressed index. Raises IntegrityError when its size or digest is not what the Release promises."""
        data = _read(self.file)
        if sha256(data) != self.compressed.sha256:
            raise IntegrityError(f"{self.file} was changed since it was downloaded", hint=f"remove {self.file}")
        limit = _LARGEST_INDEX if self.uncompressed is None else self.uncompressed.size
        content = _decompressed(data, self.compressed.path, limit)
        if self.uncompressed is not None and sha256(content) != self.uncompressed.sha256:
            raise IntegrityError(
                f"{self.compressed.path} holds other content than the {self.uncompressed.path} that its Release names: "
                f"{sha256(content)}, not {self.uncompressed.sha256}"
            )
        return content


@dataclass(frozen=True, slots=True)
class FetchedSuite:
    """A suite whose signature, dates and name were checked."""

    archive: str
    """Name of the archive in the definition."""
    uri: str
    suite: str
    """As asked for."""
    sha256: str
    """Digest of the InRelease file's bytes (of Release, where the archive signs that one), `sha256:…`."""
    date: int
    """In seconds since 1970."""
    valid_until: int | None
    """In seconds since 1970; None: it stays valid."""
    signed_by: str
    """Fingerprint of the primary key that signed: 40 upper-case hexadecimal digits."""
    priority: int
    """As `Release.priority`."""
    indexes: tuple[FetchedIndex, ...]
    """By component in the archive's order, then by architecture as asked for, `all` last."""


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A Release file whose signature was checked, and where it came from."""

    source: str
    sha256: str
    signed_by: str
    release: Release


def fetch_suite(
    archive: Archive,
    suite: str,
    architectures: tuple[str, ...],
    *,
    downloader: Downloader,
    keys: Keyring,
    now: int,
    not_before: int | None,
    cache_dir: Path,
) -> FetchedSuite:
    """The verified indexes of `suite` for the archive's components and these architectures. May run in any thread.

    `now` and `not_before`, the date in an older lock, are in seconds since 1970. Index files stay in `cache_dir`, so
    that only the InRelease file is downloaded while the archive is unchanged.

    Raises IntegrityError for a wrong signature, digest or size, for another suite, and for metadata that expired, is of
    the future, or is older than `not_before`; UsageError for a component or architecture that the suite does not have;
    UnreachableError.
    """
    signed = signed_release(archive, suite, downloader, keys, now)
    for last in (False, True):
        release = signed.release
        check_release(
            release,
            suite,
            signed.source,
            now=now,
            not_before=not_before,
            check_valid_until=archive.check_valid_until,
        )
        indexes = tuple(_indexes(archive, architectures, release, signed.source, cache_dir))
        try:
            _download(indexes, release, f"{archive.uri}/dists/{suite}", suite, downloader)
            break
        except (IntegrityError, GoneError):
            # Perhaps the archive changed in between. Archives without by-hash then have the new indexes only.
            again = None if last else signed_release(archive, suite, downloader, keys, now)
            if again is None or again.sha256 == signed.sha256:
                raise
            signed = again
    return FetchedSuite(
        archive=archive.name,
        uri=archive.uri,
        suite=suite,
        sha256=signed.sha256,
        date=release.date,
        valid_until=release.valid_until,
        signed_by=signed.signed_by,
        priority=release.priority,
        indexes=indexes,
    )


def signed_release(archive: Archive, suite: str, downloader: Downloader, keys: Keyring, now: int) -> SignedRelease:
    """InRelease, or Release with Release.gpg where there is no InRelease: its signature is verified, its dates are not.

    `now` is in seconds since 1970. Raises IntegrityError, MalformedError, UsageError for a name that no suite or
    component has, and UnreachableError.
    """
    for name in (suite, *archive.components):
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} of the archive {archive.name} is not the name of a suite or component")
    base = f"{archive.uri}/dists/{suite}"
    source = f"{base}/InRelease"
    try:
        data = downloader.get(source, max_size=_LARGEST_RELEASE)
        signed = verify_cleartext(data, keys, source, now=now)
    except GoneError as error:
        source = f"{base}/Release"
        data, signed = _detached_release(archive, source, downloader, keys, now, error)
    return SignedRelease(source, sha256(data), signed.signed_by, parse_release(signed.text, source))


def _detached_release(
    archive: Archive, source: str, downloader: Downloader, keys: Keyring, now: int, without_inrelease: GoneError
) -> tuple[bytes, Signed]:
    """The bytes of Release, and what its signature covers. Raises GoneError when the suite has no Release either, and
    IntegrityError when that is not signed."""
    try:
        data = downloader.get(source, max_size=_LARGEST_RELEASE)
    except GoneError:
        raise GoneError(
            without_inrelease.message, hint=f"check the uri and the suites of the archive {archive.name}"
        ) from without_inrelease
    try:
        signature = downloader.get(f"{source}.gpg", max_size=_LARGEST_SIGNATURE)
    except GoneError as error:
        raise IntegrityError(
            f"{source} is not signed: there is neither an InRelease nor a Release.gpg",
            hint="whoever runs the archive has to sign it: gpg --clearsign -o InRelease Release",
        ) from error
    return data, verify_detached(data, signature, keys, source, now=now)


def _indexes(
    archive: Archive, architectures: Iterable[str], release: Release, source: str, cache_dir: Path
) -> Iterator[FetchedIndex]:
    """The indexes that the Release promises, whether they are in the cache or not."""
    # Debian's security archive says `updates/main` and has its files below `main`.
    components = tuple(component.rpartition("/")[2] for component in release.components)
    wanted = tuple(dict.fromkeys((*architectures, *(() if release.all_in_each_architecture else ("all",)))))
    for component in archive.components:
        for architecture in wanted:
            path = f"{component}/binary-{architecture}/Packages"
            compression = next((end for end in _COMPRESSIONS if path + end in release.files), None)
            listed = any(file.startswith(path) for file in release.files)
            if architecture == "all" and not listed:
                # As apt 2.6 does (pkgAcqMetaClearSig::QueueIndexes): a supported architecture without an index has no
                # packages apart. Those for `all` are in the index of each architecture then, which has to be there.
                continue
            if compression is None:
                _check_known("component", component.rpartition("/")[2], components, source)
                _check_known("architecture", architecture, release.architectures, source)
                others = sorted(file for file in release.files if file.startswith(f"{path}."))
                instead = f" that can be read, only {', '.join(others)}" if others else ""
                raise MalformedError(f"{source} lists no {path}{instead}")
            compressed = release.files[path + compression]
            uncompressed = release.files.get(path)
            for file in (compressed, uncompressed):
                if file is not None and file.size > _LARGEST_INDEX:
                    raise MalformedError(f"{source} says that {file.path} has {file.size} bytes, which is too many")
            yield FetchedIndex(
                component=component,
                architecture=architecture,
                digest=compressed.sha256 if uncompressed is None else uncompressed.sha256,
                file=cache_dir / f"{hexadecimal(compressed.sha256)}{compression}",
                compressed=compressed,
                uncompressed=uncompressed,
            )


def _check_known(kind: str, name: str, known: tuple[str, ...], source: str) -> None:
    """Raises UsageError when the suite does not have what the definition asks for."""
    if name not in known:
        # Names of architectures are alike, and mean nothing like each other.
        nearest = difflib.get_close_matches(name, known, 1) if kind == "component" else []
        raise UsageError(
            f"{source} has no {kind} {name}; it has {', '.join(known) or 'none'}",
            hint=f"did you mean {nearest[0]}?" if nearest else None,
        )


def _download(
    indexes: tuple[FetchedIndex, ...], release: Release, base: str, suite: str, downloader: Downloader
) -> None:
    """Brings the index files that are not in the cache, or damaged there."""
    jobs = []
    for index in indexes:
        compressed = index.compressed
        if index.file.is_file() and sha256_file(index.file) == compressed.sha256:
            continue
        jobs.append(index_download(base, release, compressed, index.file))
    if jobs:
        for _ in downloader.fetch_all(jobs, stage=f"indexes of {suite}"):
            pass


def index_download(base: str, release: Release, file: IndexFile, target: Path) -> Download:
    """How `file` of `release`, which is at the URL `base`, is brought to `target`: by its hash where that works."""
    directory = file.path.rpartition("/")[0]
    by_hash = f"{base}/{directory}/by-hash/SHA256/{hexadecimal(file.sha256)}"
    plain = f"{base}/{file.path}"
    urls = (by_hash, plain) if release.acquire_by_hash else (plain,)
    return Download(urls, target, file.sha256, file.size)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormationError(f"cannot read {path}: {error.strerror}") from error


def _decompressed(data: bytes, path: str, limit: int) -> bytes:
    """The content of an index; its name says how it is compressed. Raises IntegrityError beyond `limit` bytes."""
    if not path.endswith((".xz", ".gz")):
        return data
    parts: list[bytes] = []
    left = limit + 1
    try:
        while data:
            stream: lzma.LZMADecompressor | igzip_lib.IgzipDecompressor
            if path.endswith(".xz"):
                stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            else:
                stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            parts.append(stream.decompress(data, left))
            left -= len(parts[-1])
            if left == 0:
                raise IntegrityError(f"{path} grows beyond the {limit} bytes that its Release promises")
            if not stream.eof:
                raise MalformedError(f"{path} is cut off")
            data = stream.unused_data
    except (lzma.LZMAError, igzip_lib.IsalError) as error:  # type: ignore[misc]  # isal's stub calls it an instance
        raise MalformedError(f"{path} cannot be decompressed: {error}") from error
    return b"".join(parts)
