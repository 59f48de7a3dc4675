"""dpkg's overrides of owners and modes, for packages that are about to be unpacked.

dpkg reads them when it starts and not again, so those of a package's own preinst come too late for it; and it compares
paths as packages write them. Source: dpkg's src/main/archives.c, `archivefiles` and `tarobject`.
"""

from collections.abc import Iterable, Mapping, Sequence

from formation.dataclass import replace
from formation.debian.statoverrides import FILE, StatOverride, id_of, parse_statoverrides
from formation.errors import FormationError
from formation.install.accounts import Accounts
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
        """`view` is the image when dpkg starts."""
        self._by_path: Mapping[str, StatOverride] = {each.path: each for each in parse_statoverrides(view.read(FILE))}
        self._accounts = read_accounts(view) if self._by_path else Accounts()

    def of(self, listed: Iterable[str]) -> tuple[Override, ...]:
        """Those of the paths `listed`, which a package ships. Raises FormationError for an owner that is unknown."""
        if not self._by_path:
            return ()
        found = {path: self._by_path[path] for path in listed if path in self._by_path}
        return tuple((path.lstrip("/"), each.mode, *self._owner(each)) for path, each in sorted(found.items()))

    def _owner(self, override: StatOverride) -> tuple[int, int]:
        uid, gid = id_of(override.owner), id_of(override.group)
        try:
            return (
                self._accounts.user_id(override.owner) if uid is None else uid,
                self._accounts.group_id(override.group) if gid is None else gid,
            )
        except FormationError as error:
            raise FormationError(
                f"dpkg-statoverride was told that {override.path} belongs to {override.owner}:{override.group}, but "
                f"{error.message}",
                hint="make the account under users: or groups:, or leave the package out that wants it",
            ) from None
