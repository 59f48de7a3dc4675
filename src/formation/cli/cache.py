"""`formation cache`: what the local store takes, and freeing some of it."""

import errno
import os
import re
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from formation.cli.context import Context
from formation.cli.parser import Subparsers, add_command
from formation.cli.text import size_text, table

if TYPE_CHECKING:
    from formation.store.prune import Usage

DEFAULT_AGE = 30 * 86400
"""Seconds that an entry may lie unused before a plain `cache prune` takes it."""

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = add_command(
        subparsers,
        "cache",
        "show what the local store takes, or free some of it",
        """
        Without a word: the size of the local store, by kind. Downloads, segments, trees and effects make builds fast;
        whatever is removed, the next build has it again or makes it again, but for packages that their archive has
        dropped: `formation vendor` keeps those. Blobs are what images consist of.

        `cache prune` removes what was not used for 30 days, what killed runs left, and the blobs of no image. Images
        stay, unless --images is given, and one whose manifest is gone is told. It does not run beside another formation
        in the same store: it is refused, or waits for that to end (--wait).

        A store is carried by root's `tar -p --numeric-owner --xattrs-include='*'`. Other copies, such as `cp -r`, lose
        owners, modes or times: the next build makes anew what has lost some.
        """,
        """
        formation cache
        formation cache prune --dry-run
        formation cache prune --older-than 1w
        formation cache prune --all --images     # an empty store
        """,
    )
    parser.add_argument("action", nargs="?", choices=("prune",), metavar="prune", help="free space")
    age = parser.add_mutually_exclusive_group()
    age.add_argument("--all", action="store_true", help="prune: remove what is cached, however young")
    age.add_argument(
        "--older-than", metavar="AGE", type=_age, help="prune: remove what was not used for so long (90m, 12h, 7d, 4w)"
    )
    parser.add_argument("--images", action="store_true", help="prune: forget all images as well")
    parser.add_argument("--dry-run", action="store_true", help="prune: only say what would be removed")
    parser.add_argument("--wait", action="store_true", help="prune: wait while another formation uses the store")
    parser.add_argument("--json", action="store_true", help="print the sizes as JSON")


def run(arguments: Namespace, context: Context) -> int:
    """Runs the command."""
    from formation.errors import UsageError
    from formation.store.prune import unreadable, usage

    if arguments.action == "prune":
        return _prune(arguments, context)
    if arguments.all or arguments.older_than is not None or arguments.images or arguments.dry_run or arguments.wait:
        raise UsageError("these options need the word prune", hint="formation cache prune --help")
    closed = unreadable(context.store)
    if context.store.root in closed:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(context.store.root))
    with context.progress() as progress:
        for path in closed:
            progress.note(f"{path} cannot be read, and counts as empty")
    found = usage(context.store)
    if arguments.json:
        context.write_json({"store": str(context.store.root), **_json(found)})
    else:
        context.write(f"{context.store.root}\n\n{_table(found)}")
    return 0


def _prune(arguments: Namespace, context: Context) -> int:
    from formation.store.prune import prune

    removal = _Removal()
    age = DEFAULT_AGE if arguments.older_than is None else arguments.older_than
    with context.progress() as progress:
        freed = prune(
            context.store,
            before=None if arguments.all else context.now - age,
            remove=removal.remove,
            keep_images=not arguments.images,
            dry_run=arguments.dry_run,
            wait=arguments.wait,
            note=progress.note,
        )
    removal.finish(context)
    if arguments.json:
        context.write_json({"store": str(context.store.root), "dry_run": arguments.dry_run, **_json(freed)})
        return 0
    verb = "would free" if arguments.dry_run else "freed"
    total = sum(kind.size for kind in freed)
    context.write(f"{verb} {size_text(total)}\n" + (f"\n{_table(freed)}" if total else ""))
    return 0


class _Removal:
    """Removes trees at once where this user can; those of subordinate user ids all together, in one namespace."""

    def __init__(self) -> None:
        self._left: list[Path] = []

    def remove(self, path: Path) -> None:
        """Removes `path`, or notes it: it has the name of something removed, and nobody looks for it any more."""
        from formation.store.locking import remove_tree

        try:
            remove_tree(path)
        except PermissionError:
            if os.geteuid() == 0:
                raise
            self._left.append(path)

    def finish(self, context: Context) -> None:
        """Removes what was noted. Raises FormationError when the user has no subordinate ids any more."""
        if not self._left:
            return
        from formation.install.installer import remove_trees

        with context.progress() as progress:
            remove_trees(self._left, progress)


def _json(kinds: "tuple[Usage, ...]") -> dict[str, object]:
    return {
        "size": sum(kind.size for kind in kinds),
        "kinds": [{"kind": kind.kind, "entries": kind.entries, "size": kind.size} for kind in kinds],
    }


def _table(kinds: "tuple[Usage, ...]") -> str:
    rows = [(kind.kind, str(kind.entries), size_text(kind.size)) for kind in kinds]
    rows.append(("total", str(sum(kind.entries for kind in kinds)), size_text(sum(kind.size for kind in kinds))))
    return table(("KIND", "ENTRIES", "SIZE"), rows, right=frozenset({1, 2}))


def _age(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    if found is None:
        raise ArgumentTypeError(f"{text[:50]!r} is not an age such as 90m, 12h, 7d or 4w")
    return int(found[1]) * _UNITS[found[2]]
