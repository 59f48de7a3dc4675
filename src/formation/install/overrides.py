"""dpkg's overrides of owners and modes, for packages that are about to be unpacked.

dpkg reads them when it starts and not again, so those of a package's own preinst come too late for it; and it compares
paths as packages write them. Source: dpkg's src/main/archives.c, `archivefiles` and `tarobject`.
"""

from collections.abc import Iterable, Sequence

from formation.dataclass import replace
from formation.debian.statoverrides import FILE, StatOverride, id_of, parse_statoverride
from formation.entry import decode_lines
from formation.errors import FormationError
from formation.install.accounts import Accounts, ids
from formation.install.additions import read_accounts
from formation.install.arrivals import Arrivals
from formation.install.hardening import privileged
from formation.install.placement import Override, merged_path
from formation.install.segment_record import read_entries
from formation.install.stages import Stage
from formation.install.standing import Standing
from formation.install.variant import Variant
from formation.install.view import TreesView, View
from formation.install.work import stage_package
from formation.store.store import Store


def unpack_as_overridden(
    store: Store, arrivals: Arrivals, standing: Standing, variant: Variant, stage: Stage, digests: Sequence[str]
) -> Stage:
    """`stage`, its packages, of .debs with `digests`, unpacked with the owners and modes that overrides give them.

    Its key stays: the stages before it decide what is overridden. Raises FormationError for an unknown owner.
    """
    if stage.bootstrap:
        return stage
    view = TreesView(standing.trees)
    overrides = Overrides(view)
    own = {digest: overrides.of(package.listed) for digest, package in zip(digests, stage.packages, strict=True)}
    again = {digest: replace(arrivals.spec(digest), overrides=found) for digest, found in own.items() if found}
    if not again:
        return stage
    arrivals.unpack_again(again)
    for digest in again:
        segment = arrivals.segments[digest]
        standing.staged[digest] = stage_package(store, arrivals.packages[digest], segment)
        entries = read_entries(store.segments, segment)
        variant.privileged[digest] = privileged(entries, variant.job.additions.hardening)
        paths = {merged_path(path) for path, *_ in own[digest]}
        made = [e for e in entries if e.type == "directory" and e.path in paths and view.find(e.path) is None]
        standing.ownership.override(made)
        # Every layer repeats the directories of what it has.
        variant.overridden |= {package.digest for package in variant.packages} if made else {digest}
    return replace(stage, packages=tuple(standing.staged[digest] for digest in digests))


class Overrides:
    """Those of an image, as its accounts are."""

    def __init__(self, view: View) -> None:
        """`view` is the image when dpkg starts. Raises FormationError for a line that dpkg does not take."""
        self._by_path: dict[str, StatOverride] = {}
        for line in decode_lines(view.read(FILE)):
            override = parse_statoverride(line)
            if override is None:
                raise FormationError(
                    f"/{FILE} has the line {line[:200]!r}, and dpkg installs nothing where it cannot read one",
                    hint="leave the package out whose script wrote it",
                )
            self._by_path[override.path] = override
        accounts = read_accounts(view) if self._by_path else Accounts()
        self._users, self._groups = ids(accounts.passwd), ids(accounts.group)

    def of(self, listed: Iterable[str]) -> tuple[Override, ...]:
        """Those of the paths `listed`, which a package ships. Raises FormationError for an owner that is unknown."""
        if not self._by_path:
            return ()
        found = {path: self._by_path[path] for path in listed if path in self._by_path}
        return tuple((path.lstrip("/"), each.mode, *self._owner(each)) for path, each in sorted(found.items()))

    def _owner(self, override: StatOverride) -> tuple[int, int]:
        found = []
        for what, name, known in (("user", override.owner, self._users), ("group", override.group, self._groups)):
            # A number without # is a name: dpkg looks it up.
            number = known.get(name) if (written := id_of(name)) is None else written
            if number is None:
                raise FormationError(
                    f"dpkg-statoverride was told that {override.path} belongs to {override.owner}:{override.group}, "
                    f"but the image has no {what} {name!r}",
                    hint="make the account under users: or groups:, or leave the package out that wants it",
                )
            found.append(number)
        return found[0], found[1]
