"""Whether the dpkg database of an image is sound, and true: what `dpkg --audit` and `dpkg --verify` would say.

Sources: dpkg(1), deb-md5sums(5), dpkg-divert(1), dpkg-statoverride(1).
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache

from formation.contents.filesystem import Filesystem
from formation.contents.layer import LayerEntry
from formation.contents.merge import Node
from formation.contents.packages import InstalledPackage, Listing
from formation.contract.facts import Facts
from formation.contract.findings import Finding
from formation.dataclass import dataclass
from formation.debian.administration import ADMINISTRATION, INFO, STATUS
from formation.debian.diversions import FILE as DIVERSIONS
from formation.debian.diversions import Diversion, parse_diversions
from formation.debian.statoverrides import FILE as STAT_OVERRIDES
from formation.debian.statoverrides import id_of, parse_statoverride
from formation.entry import decode_lines
from formation.oci.annotations import LAYER_KIND

_DPKG_CONFIGURATION = ("etc/dpkg/dpkg.cfg", "etc/dpkg/dpkg.cfg.d")
_MADE_AGAIN = frozenset(
    {
        "var/cache/apt",
        "var/cache/apt/archives",
        "var/cache/apt/archives/partial",
        "var/lib/apt/lists",
        "var/lib/apt/lists/partial",
        "var/log/apt",
    }
)
"""Directories that apt ships and makes when it needs them (CreateAPTDirectory in its source). Dockerfiles remove some,
with `rm -rf /var/lib/apt/lists/*`."""
_MOST = 200
"""Findings of one kind that are told; of a database that is all wrong nobody reads more."""
_MOST_RULES = 100
"""Patterns of paths that dpkg leaves out; Debian's own images have ten."""


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """What dpkg was told of where files go, and which."""

    files: Filesystem
    diversions: Mapping[str, Diversion]
    """By path."""
    filters: tuple[tuple[bool, "re.Pattern[str]"], ...]
    """The path-exclude (True) and path-include of dpkg's configuration, in order; the last that matches decides."""

    def place(self, path: str, package: InstalledPackage) -> str:
        """Where the file of `package` that it calls `path` is."""
        diversion = self.diversions.get(path)
        return path if diversion is None or diversion.package == package.name else diversion.target

    def leaves_out(self, path: str) -> bool:
        """Whether nobody misses `path`, which has no leading slash."""
        decision = False
        for excludes, pattern in self.filters:
            if pattern.fullmatch(f"/{path}"):
                decision = excludes
        return decision


def check_database(facts: Facts) -> Iterator[Finding]:
    """What is wrong with the database, and where files are not as it says. Nothing when the image has none."""
    for problem in facts.database_problems:
        yield Finding("database", "database-damaged", f"dpkg's database: {problem}", path=f"/{ADMINISTRATION}")
    diversions = {each.path: each for each in _diversions(facts.files)}
    unpacking = _Unpacking(facts.files, diversions, _filters(facts.files))

    @cache
    def owned() -> frozenset[str]:
        both = zip(facts.packages, facts.listings, strict=True)
        return frozenset(path for package, listing in both if package.installed for path in listing.paths or ())

    for package, listing in zip(facts.packages, facts.listings, strict=True):
        if not package.installed:
            yield _unfinished(package)
            continue
        yield from _limited(_listed(package, listing, unpacking))
        yield from _limited(_sums(package, listing, unpacking, owned))
        yield from _limited(_conffiles(package, facts.files))
    yield from _limited(_stat_overrides(facts, diversions))


def _unfinished(package: InstalledPackage) -> Finding:
    if package.status.endswith((" config-files", " not-installed")):
        what = f"{package.name} was removed and left its configuration"
        return Finding("database", "package-leftover", what, "warning", f"/{STATUS}")
    what = f"{package} is {package.status or 'without a status'!r}, not 'install ok installed'"
    return Finding("database", "package-unfinished", what, path=f"/{STATUS}")


def _limited(findings: Iterator[Finding]) -> Iterator[Finding]:
    for number, finding in enumerate(findings):
        if number == _MOST:
            what = f"there is more of this kind than {_MOST}: {finding.message}"
            yield Finding(finding.topic, finding.id, what, finding.severity)
            return
        yield finding


def _listed(package: InstalledPackage, listing: Listing, unpacking: _Unpacking) -> Iterator[Finding]:
    files = unpacking.files
    if listing.paths is None:
        path = f"{INFO}/{package.stem}.list"
        # Packages of distroless images have only their checksums; a list may also be too large to be kept.
        if STATUS in files and files.find(path) is None:
            what = f"dpkg's database does not say which files {package.name} has"
            yield Finding("database", "list-missing", what, path=f"/{path}")
        return
    conffiles = {path for path, _ in package.conffiles}
    for listed in listing.paths:
        path = unpacking.place(listed, package)
        if path in files or path in conffiles or path in _MADE_AGAIN or unpacking.leaves_out(path):
            continue
        place = files.resolve(path, follow_last=False)
        if place is None or place not in files:
            what = f"/{path} of {package.name} is missing"
            yield Finding("database", "package-file-missing", what, path=f"/{path}")


def _sums(
    package: InstalledPackage, listing: Listing, unpacking: _Unpacking, owned: Callable[[], frozenset[str]]
) -> Iterator[Finding]:
    """`owned` gives the paths on the lists of all packages."""
    if listing.malformed:
        what = f"{listing.malformed} lines of the checksums of {package.name} are malformed"
        yield Finding("database", "md5sums-malformed", what, path=f"/{INFO}/{package.stem}.md5sums")
    listed = set(listing.paths or ())
    conffiles = {path for path, _ in package.conffiles}
    for name, md5 in listing.md5sums or ():
        if name in conffiles:
            # dpkg writes them too, where a package brings no checksums, and knows better by the status file.
            continue
        path = unpacking.place(name, package)
        node = _unfollowed(unpacking.files, path)
        if node is None:
            # `_listed` has told of those that the list has.
            if name not in listed and not unpacking.leaves_out(path):
                what = f"/{path} of {package.name} is missing"
                yield Finding("database", "package-file-missing", what, path=f"/{path}")
        elif (node.entry.type, node.entry.md5) == ("file", md5) or (name not in listed and name in owned()):
            # As it was, or another package's by now, which replaces this one's files.
            continue
        elif node.entry.type != "file":
            what = f"/{path} of {package.name} is a {node.entry.type} where the package has a file"
            yield Finding("database", "package-file-changed", what, path=f"/{path}", layer=node.layer)
        else:
            what = f"/{path} is not as {package} has it: its checksum differs"
            yield Finding("database", "package-file-changed", what, path=f"/{path}", layer=node.layer)


def _conffiles(package: InstalledPackage, files: Filesystem) -> Iterator[Finding]:
    for path, md5 in package.conffiles:
        node = files.find(path)
        if node is not None and node.entry.type == "file" and len(md5) == 32 and node.entry.md5 != md5:
            what = f"the configuration file /{path} of {package.name} was changed"
            yield Finding("database", "conffile-changed", what, "warning", f"/{path}", node.layer)


def _stat_overrides(facts: Facts, diversions: Mapping[str, Diversion]) -> Iterator[Finding]:
    """`diversions` are by path: an override is of the path that a package ships, wherever its file goes."""
    targets = {each.target for each in diversions.values()}
    for line in decode_lines(facts.files.content(STAT_OVERRIDES) or b""):
        override = parse_statoverride(line)
        if override is None:
            what = f"{line[:100]!r} is no line of statoverride"
            yield Finding("database", "statoverride-malformed", what, path=f"/{STAT_OVERRIDES}")
            continue
        owner, group, path = override.owner, override.group, override.path[1:]
        uid, gid = id_of(owner), id_of(group)
        uid, gid = facts.uids.get(owner) if uid is None else uid, facts.gids.get(group) if gid is None else gid
        if uid is None or gid is None:
            what = f"dpkg-statoverride gives /{path} to {owner}:{group}, and the image has no such account"
            yield Finding("database", "statoverride-malformed", what, path=f"/{STAT_OVERRIDES}")
            continue
        places = ({path} - targets) | ({diversions[path].target} if path in diversions else set())
        for place in sorted(places):
            node = _unfollowed(facts.files, place)
            if node is not None and not _is_overridden(node.entry, uid, gid, override.mode):
                # What was there when it was added stays as it was, without --update.
                what = f"/{place} is not {owner}:{group} {override.mode:o}, as dpkg-statoverride was told"
                yield Finding("database", "statoverride-ignored", what, "warning", f"/{place}", node.layer)


def _unfollowed(files: Filesystem, path: str) -> Node | None:
    """What is at `path`, be it a symlink."""
    place = files.resolve(path, follow_last=False)
    return None if place is None else files.get(place)


def _is_overridden(entry: LayerEntry, uid: int, gid: int, mode: int) -> bool:
    """Whether `entry` has these owners and this mode; a symlink has none."""
    return (entry.uid, entry.gid) == (uid, gid) and (entry.type == "symlink" or entry.mode == mode)


def _diversions(files: Filesystem) -> tuple[Diversion, ...]:
    return parse_diversions(files.content(DIVERSIONS) or b"")


def _filters(files: Filesystem) -> tuple[tuple[bool, "re.Pattern[str]"], ...]:
    rules = []
    first, rest = _DPKG_CONFIGURATION
    for path in (first, *files.kept_below(rest)):
        for line in decode_lines(files.content(path) or b""):
            name, equals, value = line.partition("=")
            if equals and name.strip() in ("path-exclude", "path-include"):
                # dpkg's patterns are those of fnmatch(3) without FNM_PATHNAME: `*` takes slashes too.
                pattern = re.compile(fnmatch.translate(value.strip().strip("\"'")))
                rules.append((name.strip() == "path-exclude", pattern))
    return tuple(rules[-_MOST_RULES:])


_OWNED = ("usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib64/", "usr/libexec/", "usr/share/", "usr/include/", "lib64/")
_MADE_BY_SCRIPTS = re.compile(
    r".*/__pycache__(?:/.*)?|.*\.pyc"
    r"|usr/share/(?:info/dir(?:\.old)?|mime/.*|icons/.*/icon-theme\.cache|applications/mimeinfo\.cache|fonts/.*"
    r"|man/(?:.*/)?(?:index\.db|CACHEDIR\.TAG)|glib-2\.0/schemas/gschemas\.compiled)"
    r"|usr/lib/(?:locale/.*|udev/hwdb\.bin|ssl/.*)|usr/sbin/policy-rc\.d"
    r"|usr/lib/[^/]+/(?:gconv/gconv-modules\.cache|gio/modules/giomodule\.cache"
    r"|(?:gdk-pixbuf|gtk)-[0-9.]+/.*/(?:loaders|immodules)\.cache)"
)
"""What maintainer scripts and triggers leave in the directories of packages, and the one file that invoke-rc.d(8) wants
an administrator to put there."""


_NOT_OWNED = ("effects", "application")
"""The kinds of layers that are not of packages."""


def check_unowned(
    facts: Facts, promised: frozenset[str] = frozenset(), trees: tuple[str, ...] = ()
) -> Iterator[Finding]:
    """Files in the directories of packages that no package has, no alternative explains, and nobody promised, by their
    own names or as part of one of `trees`. What Formation's layers have besides packages is of scripts or a definition.
    """
    if not facts.packages:
        return
    owned: set[str] = set()
    for package, listing in zip(facts.packages, facts.listings, strict=True):
        if listing.paths is None and package.installed:
            # Distroless: what the checksums name is what is known.
            owned.update(path for path, _ in listing.md5sums or ())
        owned.update(listing.paths or ())
    known = places_of(facts, owned) | {path.lstrip("/") for path in promised}
    yield from _limited(_unowned(facts, known, tuple(f"{tree.lstrip('/')}/" for tree in trees)))


def places_of(facts: Facts, paths: Collection[str]) -> set[str]:
    """Where the files are that packages call `paths`, links of directories followed; and what was diverted."""
    resolved = {facts.files.resolve(path, follow_last=False) for path in paths if path not in facts.files}
    diverted = {each.target for each in _diversions(facts.files)}
    return {*paths, *diverted, *(path for path in resolved if path)}


def _unowned(facts: Facts, known: set[str], trees: tuple[str, ...]) -> Iterator[Finding]:
    ours = {n for n, layer in enumerate(facts.image.manifest.layers) if layer.annotations.get(LAYER_KIND) in _NOT_OWNED}
    for path, node in facts.files:
        if node.entry.type == "directory" or not path.startswith(_OWNED) or path in known or path.startswith(trees):
            continue
        if node.layer in ours:
            continue
        # Scripts link manual pages too, as that of Debian 12's dash does sh(1), also where the pages are left out.
        of_script = "/etc/alternatives/" in node.entry.target or path.startswith("usr/share/man/")
        if node.entry.type == "symlink" and of_script:
            continue
        if not _MADE_BY_SCRIPTS.fullmatch(path):
            what = f"/{path} belongs to no package"
            yield Finding("database", "file-unowned", what, "warning", f"/{path}", node.layer)
