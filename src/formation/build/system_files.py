"""Files of the image that follow from the definition: what makes a later apt-get or dpkg behave as the build did."""

from pathlib import Path

from formation.definition.hardening import SAFE_APT, SAFE_APT_CHOICES
from formation.definition.image_files import (
    APT_CHOICES,
    DPKG_FILTERS,
    apt_choices,
    apt_sources,
    dpkg_filters,
    key_file,
    keyring_path,
    sources_path,
)
from formation.definition.values import Definition, File
from formation.errors import UsageError


def system_files(definition: Definition) -> tuple[File, ...]:
    """dpkg's path filters, apt's choice on recommended packages, and the apt sources with their keys.

    Raises UsageError when a key cannot be read.
    """
    files = []
    if filters := dpkg_filters(definition):
        files.append(_file(DPKG_FILTERS, filters.encode()))
    files.append(_file(APT_CHOICES, apt_choices(definition).encode()))
    if definition.hardening.package_manager:
        files.append(_file(SAFE_APT_CHOICES, SAFE_APT.encode()))
    for archive in definition.archives:
        files.append(_file(sources_path(archive), apt_sources(archive).encode()))
        if key := key_file(archive):
            files.append(_file(keyring_path(archive), _read(definition.path.parent / key)))
    return tuple(files)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from None


def _file(path: str, content: bytes) -> File:
    return File(path, "root", "root", 0o644, content, None)
