"""Files of the image that follow from the definition: what makes a later apt-get or dpkg behave as the build did."""

from pathlib import Path

from formation.debian.archive import Archive
from formation.definition.values import Definition, File
from formation.errors import UsageError

_DEBIAN = "/usr/share/keyrings/debian-archive-keyring.gpg"
_UBUNTU = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
_KEY_FILE_SUFFIXES = (".asc", ".gpg", ".pgp")


def system_files(definition: Definition) -> tuple[File, ...]:
    """dpkg's path filters, apt's choice on recommended packages, and the apt sources with their keys."""
    files = []
    if definition.path_excludes:
        lines = [f"path-exclude={pattern}" for pattern in definition.path_excludes]
        lines += [f"path-include={pattern}" for pattern in definition.path_includes]
        files.append(_file("/etc/dpkg/dpkg.cfg.d/formation", lines))
    if not definition.recommends:
        files.append(_file("/etc/apt/apt.conf.d/00formation", ['APT::Install-Recommends "false";']))
    for archive in definition.archives:
        files.append(_sources(archive))
        files += _keys(definition, archive)
    return tuple(files)


def keyring_path(archive: Archive) -> str:
    """Path in the image of the keyring that apt verifies `archive` with."""
    if archive.signed_by is not None:
        return archive.signed_by
    own = [key for key in archive.keys if is_key_file(key)]
    if own:
        return f"/etc/apt/keyrings/{archive.name}{'.asc' if own[0].endswith('.asc') else '.gpg'}"
    return _UBUNTU if any(key.startswith("ubuntu") for key in archive.keys) else _DEBIAN


def is_key_file(key: str) -> bool:
    """Whether an entry of an archive's `keys:` names a file, and not a set that ships with Formation."""
    return "/" in key or key.endswith(_KEY_FILE_SUFFIXES)


def _sources(archive: Archive) -> File:
    """The archive in the format of sources.list(5), deb822 style."""
    lines = [
        "Types: deb",
        f"URIs: {archive.uri}",
        f"Suites: {' '.join(archive.suites)}",
        f"Components: {' '.join(archive.components)}",
        f"Signed-By: {keyring_path(archive)}",
    ]
    if not archive.check_valid_until:
        lines.append("Check-Valid-Until: no")
    return _file(f"/etc/apt/sources.list.d/{archive.name}.sources", lines)


def _keys(definition: Definition, archive: Archive) -> list[File]:
    """The archive's own key files, in one keyring. Raises UsageError when one cannot be read."""
    own = [key for key in archive.keys if is_key_file(key)]
    if archive.signed_by is not None or not own:
        return []
    content = b"".join(_read(definition.path.parent / key) for key in own)
    return [File(keyring_path(archive), "root", "root", 0o644, content, None)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from None


def _file(path: str, lines: list[str]) -> File:
    return File(path, "root", "root", 0o644, "".join(f"{line}\n" for line in lines).encode(), None)
