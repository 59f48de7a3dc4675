"""Owners that a package names: whom the name stands for is known only in the tree, once the preinst has run.

dpkg prefers a name in data.tar to the number beside it, where the tree has such an account at the time of unpacking.
Source: dpkg's lib/dpkg/tarfn.c, `tar_entry_update_from_system`.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from formation.debian.statoverrides import FILE as STATOVERRIDES
from formation.debian.statoverrides import parse_statoverrides
from formation.definition.accounts import STATIC_GROUPS, STATIC_USERS
from formation.entry import Entry, decode_path
from formation.errors import FormationError
from formation.install.accounts import ids
from formation.install.additions import parents
from formation.install.inside import inside, read_file
from formation.install.landing import Arriving, Ground, Landings, land, land_file
from formation.install.placement import merged_path
from formation.install.view import View

Names = tuple[str, str]
"""A user and a group; empty where the number says all."""

# Debian 12 and older give _apt a number of the moment.
_USERS = {name: uid for name, uid in STATIC_USERS.items() if name != "_apt"}


def owner_names(entry: Entry) -> Names:
    """The names of its owners that may stand for other numbers than those beside them; mostly none."""
    user, group = entry.names
    return "" if _USERS.get(user) == entry.uid else user, "" if STATIC_GROUPS.get(group) == entry.gid else group


def claims(
    packages: Iterable[tuple[Arriving, Mapping[str, Names]]], landings: Landings, ground: Ground
) -> dict[str, Names]:
    """Where `packages`, unpacked onto `ground`, put what they name owners of, and these.

    Each comes with its names by the path that it ships. A directory that is there keeps its owner, and of several
    packages the first makes it.
    """
    arriving = list(packages)
    found: dict[str, Names] = {}
    if not any(names for _, names in arriving):
        return found
    made: set[str] = set()
    for package, names in arriving:
        for entry in package.entries:
            if entry.type == "directory":
                place = land(entry.path, landings.followed)
                is_new = place not in made and ground.directory(place) is None
                made.add(place)
            else:
                place = land_file(package.diverted.get(entry.path, entry.path), landings.followed)
                is_new = entry.path not in landings.covered
            if is_new and entry.path in names:
                found[place] = names[entry.path]
            made.update(parents(place))
    return found


def give(root: Path, owners: Mapping[str, Names], before: View) -> None:
    """Gives what is in the tree `root` to those whom `owners` names by path, as far as the tree has such accounts.

    An override in dpkg's database says all of its path, if it was there `before`: dpkg reads them once in a run. Raises
    FormationError when the system refuses.
    """
    if not owners:
        return
    users, groups = _accounts(root, "etc/passwd"), _accounts(root, "etc/group")
    overrides = {merged_path(each.path.lstrip("/")) for each in parse_statoverrides(before.read(STATOVERRIDES))}
    for path in sorted(owners.keys() - overrides):
        user, group = owners[path]
        parent, _, name = path.rpartition("/")
        try:
            # Where no stage was before, scripts have run since it was unpacked.
            place = inside(root, parent) / name
            status = place.lstat()
            uid, gid = users.get(user, status.st_uid), groups.get(group, status.st_gid)
            if (uid, gid) != (status.st_uid, status.st_gid):
                os.chown(place, uid, gid, follow_symlinks=False)
                if not stat.S_ISLNK(status.st_mode):
                    # After chown, which clears setuid and setgid.
                    place.chmod(stat.S_IMODE(status.st_mode))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise FormationError(f"cannot give /{path} the owner that its package names: {error.strerror}") from None


def _accounts(root: Path, path: str) -> Mapping[str, int]:
    """Name → id of passwd or group in the tree; empty without the file."""
    return ids(decode_path(read_file(inside(root, path)) or b""))
