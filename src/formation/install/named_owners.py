"""Owners that a package names: whom the name stands for is known only in the tree, once the preinst has run.

dpkg prefers a name in data.tar to the number beside it, where the tree has such an account at the time of unpacking.
Source: dpkg's lib/dpkg/tarfn.c, `tar_entry_update_from_system`.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from formation.definition.accounts import STATIC_GROUPS, STATIC_USERS
from formation.entry import Entry, decode_path
from formation.errors import FormationError
from formation.install.accounts import ids
from formation.install.additions import parents
from formation.install.inside import inside, read_file
from formation.install.landing import Arriving, Ground, Landings, placed

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
        for entry, place in placed(package, landings):
            is_directory = entry.type == "directory"
            if entry.path in names and not (is_directory and (place in made or ground.directory(place))):
                found[place] = names[entry.path]
            made.update([*parents(place), place] if is_directory else parents(place))
    return found


def give(root: Path, owners: Mapping[str, Names]) -> None:
    """Gives what is in the tree `root` to those whom `owners` names by path, as far as the tree has such accounts.

    Raises FormationError when the system refuses.
    """
    if not owners:
        return
    users, groups = _accounts(root, "etc/passwd"), _accounts(root, "etc/group")
    for path, (user, group) in sorted(owners.items()):
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
