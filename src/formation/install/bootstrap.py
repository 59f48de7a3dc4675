"""What has to be in the tree of the first stage before its scripts run, and comes with none of its packages."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from formation.install.inside import inside
from formation.install.placement import USR_ALIASES
from formation.install.stages import StagePackage

_MANUAL_SECTION = re.compile(r"/usr/share/man/man[1-9]")


def bring_what_no_package_does(root: Path, packages: Iterable[StagePackage]) -> None:
    """Brings it into the tree `root`, where the files of `packages` are."""
    _merge_usr(root)
    _make_manual_sections(root, packages)


def _merge_usr(root: Path) -> None:
    """Makes the symlinks of a merged /usr where no package ships them: base-files does since Debian 13, and before it
    debootstrap had to."""
    for name in sorted(USR_ALIASES):
        if inside(root, f"usr/{name}").is_dir() and not os.path.lexists(root / name):
            (root / name).symlink_to(f"usr/{name}")


def _make_manual_sections(root: Path, packages: Iterable[StagePackage]) -> None:
    """Makes the directories of manual pages, usr/share/man/man1 and so on, that `packages` have and filters keep out.

    update-alternatives puts links there for Java and PostgreSQL, and fails where there is none. The official slim
    images keep them too. Source: debuerreotype, scripts/debuerreotype-slimify.
    """
    for path in sorted({path for package in packages for path in package.listed if _MANUAL_SECTION.fullmatch(path)}):
        section = inside(root, path[1:])
        if section.parent.is_dir() and not os.path.lexists(section):
            section.mkdir()
            section.chmod(0o755)
