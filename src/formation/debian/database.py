"""The files of dpkg's database, as `dpkg --unpack` would leave them.

Source: deb(5), and dpkg's lib/dpkg/dbdir.c and trigdeferred.c.

Configuring is left to the image's own dpkg: it reads what this module writes, runs the postinst scripts and the
triggers, and rewrites the status file in its own words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from formation.dataclass import dataclass
from formation.debian.administration import INFO, INSTALLED
from formation.entry import decode_lines, lines_of
from formation.errors import MalformedError

_TRIGGER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_OWN_TRIGGER_FILES = frozenset({"File", "Lock", "Unincorp"})
_NOT_IN_INFO = frozenset({"control"})
_LEADING = re.compile(r"(/|\./)+")
"""What dpkg skips of a path (lib/dpkg/path.c, `path_skip_slash_dotslash`)."""


@dataclass(frozen=True, slots=True)
class PackageName:
    """What identifies a package in the database."""

    name: str
    architecture: str
    multi_arch_same: bool

    @property
    def in_files(self) -> str:
        """The stem of its info/ files, and its name in triggers/: with the architecture for Multi-Arch: same."""
        return f"{self.name}:{self.architecture}" if self.multi_arch_same else self.name


@dataclass(frozen=True, slots=True)
class Interest:
    """A trigger that a package wants to hear of."""

    trigger: str
    """An explicit name, or an absolute path."""
    awaits: bool


def info_files(package: PackageName, control: Mapping[str, bytes], listed: bytes) -> dict[str, bytes]:
    """Path in the image → content of each info/ file of a package.

    `control` are the members of control.tar; `listed` the paths of data.tar, one a line, in its order, `/.` first.
    """
    stem = f"{INFO}/{package.in_files}"
    # One with a dot would pass for a file of another package: dpkg leaves it out (src/main/unpack.c).
    members = {member: data for member, data in control.items() if member not in _NOT_IN_INFO and "." not in member}
    files = {f"{stem}.{member}": data for member, data in members.items()}
    files[f"{stem}.list"] = listed
    return files


def conffiles(control: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """The absolute path of each conffile that a package declares, and its flag: `remove-on-upgrade`, or empty.

    One with the flag is not in the package. Raises MalformedError for what dpkg refuses. Source: deb-conffiles(5).
    """
    found = []
    for line in filter(None, (line.rstrip(" \t\r\f\v") for line in decode_lines(control.get("conffiles", b"")))):
        flag, space, path = ("", "", line) if line.startswith("/") else line.partition(" ")
        path = path or flag
        name = path[match.end() :] if (match := _LEADING.match(path)) else ""
        if not path.startswith("/") or not name:
            raise MalformedError(f"its conffiles have {path[:200]!r}, which is no absolute path of a file")
        if space and flag != "remove-on-upgrade":
            raise MalformedError(f"its conffiles have {path[:200]!r} with the unknown flag {flag[:200]!r}")
        found.append((f"/{name}", flag))
    return found


def unpacked_stanza(control: bytes, conffiles: Sequence[tuple[str, str]]) -> bytes:
    """The status stanza of a package that is unpacked and not yet configured.

    `conffiles` are pairs of a path and its MD5, or the words that dpkg has in its place. dpkg compares a conffile by
    the MD5, and asks nothing when no `.dpkg-new` lies beside it: unpacking put the file at its final name.
    """
    lines = control.decode("utf-8", "surrogateescape").strip("\n").split("\n")
    package = next(i for i, line in enumerate(lines) if line.lower().startswith("package:"))
    lines.insert(package + 1, "Status: install ok unpacked")
    if conffiles:
        lines.append("Conffiles:")
        lines.extend(f" {path} {md5}" for path, md5 in conffiles)
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def interests(control: Mapping[str, bytes]) -> list[Interest]:
    """The triggers that a package is interested in. Raises MalformedError. Source: deb-triggers(5)."""
    found = []
    for words in _trigger_lines(control):
        if words[0] in ("interest", "interest-await", "interest-noawait") and len(words) == 2:
            _check_trigger(words[1])
            found.append(Interest(words[1], awaits=words[0] != "interest-noawait"))
    return found


def activations(control: Mapping[str, bytes]) -> list[str]:
    """The trigger names that a package activates when it is unpacked."""
    return [words[1] for words in _trigger_lines(control) if words[0].startswith("activate") and len(words) == 2]


def _check_trigger(name: str) -> None:
    """Raises MalformedError for a name that dpkg refuses; it becomes the name of a file in triggers/."""
    if not name.startswith("/") and (not _TRIGGER_NAME.fullmatch(name) or name in _OWN_TRIGGER_FILES):
        raise MalformedError(f"a package has an interest in a trigger of the name {name[:100]!r}")


def _trigger_lines(control: Mapping[str, bytes]) -> Iterable[list[str]]:
    for line in decode_lines(control.get("triggers", b"")):
        words = line.partition("#")[0].split()
        if words:
            yield words


def interest_files(
    before: Mapping[str, str], packages: Iterable[tuple[PackageName, Sequence[Interest]]]
) -> dict[str, str]:
    """triggers/ file name → content, after `packages` declared their interests; `before` are the present contents.

    Path triggers share the file `File`, one line each; an explicit trigger has a file of its own name.
    """
    after = dict(before)
    for package, wanted in packages:
        for interest in wanted:
            who = package.in_files + ("" if interest.awaits else "/noawait")
            if interest.trigger.startswith("/"):
                after["File"] = after.get("File", "") + f"{interest.trigger} {who}\n"
            else:
                after[interest.trigger] = after.get(interest.trigger, "") + f"{who}\n"
    return after


def deferred_triggers(
    before: str, interest_contents: Mapping[str, str], activated: Iterable[str], paths: Iterable[str]
) -> str:
    """The content of triggers/Unincorp after packages were unpacked: the triggers that dpkg must still deliver.

    `before` is what it had: what preinst scripts activated, and who awaits it. `activated` are explicit names; `paths`
    the absolute paths that were unpacked, each of which activates the path triggers that contain it. Nobody awaits
    these (`-`): the run that follows delivers all of them before it ends.
    """
    awaiting = {words[0]: words[1:] for words in map(str.split, lines_of(before)) if words}
    names = {name for name in activated if name in interest_contents}
    watched = {line.split()[0] for line in lines_of(interest_contents.get("File", "")) if line.strip()}
    if watched:
        for path in paths:
            names.update(w for w in watched if path == w or path.startswith(w + "/"))
    # dpkg notes what a package's control file activates before its preinst runs.
    ordered = [*sorted(names), *(name for name in awaiting if name not in names)]
    return "".join(f"{name} {' '.join(awaiting.get(name) or ['-'])}\n" for name in ordered)


def unfinished(status: bytes) -> list[str]:
    """`NAME STATE` of every package in a status file that is not `install ok installed`."""
    return [
        f"{fields.get('Package', '?')} {fields.get('Status', 'without a status')}"
        for fields in _stanzas(status)
        if fields.get("Status") != INSTALLED
    ]


def installed_names(status: bytes) -> frozenset[str]:
    """The packages of a status file that are installed."""
    return frozenset(fields.get("Package", "?") for fields in _stanzas(status) if fields.get("Status") == INSTALLED)


def _stanzas(status: bytes) -> Iterator[dict[str, str]]:
    """The fields of each package, those of several lines left out."""
    for stanza in status.decode("utf-8", "surrogateescape").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in lines_of(stanza) if ": " in line and not line.startswith(" "))
        if fields:
            yield fields
