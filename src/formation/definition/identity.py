"""What of a definition decides its lock."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from formation.debian.archive import Archive
from formation.debian.request import PackageRequest
from formation.definition.archives import is_key_file
from formation.definition.values import Variant
from formation.digest import sha256, sha256_file
from formation.files import json_bytes

_FORM = 1
"""Rises when the digest takes in something new, so that older locks count as stale."""


def lock_digest(
    directory: Path,
    archives: Iterable[Archive],
    architectures: Iterable[str],
    variants: Iterable[Variant],
    *,
    recommends: bool,
    essential: bool,
) -> str:
    """`Definition.digest`: over the archives with their key files, architectures, recommends, essential, and each
    variant's name, what it extends, its requests in their order, and what it goes without.

    Files, users, directories, labels, version, tags, descriptions, patterns and layers do not decide which packages are
    chosen: editing them leaves a lock fresh.
    """
    return sha256(
        json_bytes(
            {
                "form": _FORM,
                "archives": _archives(directory, archives),
                "architectures": list(architectures),
                "recommends": recommends,
                "essential": essential,
                "variants": [
                    {
                        "name": variant.name,
                        "extends": variant.extends,
                        "packages": [str(request) for request in variant.packages],
                        "without": sorted(variant.without),
                    }
                    for variant in variants
                    # A minimal variant has packages that are locked already.
                    if variant.only is None
                ],
            }
        )
    )


def service_lock_digest(
    directory: Path,
    base: str,
    archives: Iterable[Archive] | None,
    architectures: Iterable[str],
    packages: Iterable[PackageRequest],
    without: Iterable[str],
    *,
    recommends: bool,
) -> str:
    """`ServiceDefinition.digest`: over the base's name, the archives with their key files, architectures, recommends,
    the requests in their order, and what goes without.

    What the name of the base stands for is the lock's to record: it may move without an edit here.
    """
    return sha256(
        json_bytes(
            {
                "form": _FORM,
                "kind": "service",
                "base": base,
                "archives": None if archives is None else _archives(directory, archives),
                "architectures": list(architectures),
                "recommends": recommends,
                "packages": [str(request) for request in packages],
                "without": sorted(without),
            }
        )
    )


def _archives(directory: Path, archives: Iterable[Archive]) -> list[dict[str, Any]]:
    return [{**asdict(archive), "key_files": _key_files(directory, archive)} for archive in archives]


def _key_files(directory: Path, archive: Archive) -> list[str]:
    return [sha256_file(directory / key) for key in archive.keys if is_key_file(key)]
