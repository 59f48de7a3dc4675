"""Users, groups and passwords."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from formation.contents.accounts import parse_passwd, parse_shadow
from formation.entry import decode_path
from formation.security.findings import Check, Hit
from formation.security.subject import Subject

_OPEN = ("etc/passwd", "etc/passwd-", "etc/group", "etc/group-", "etc/subuid", "etc/subgid")
_CLOSED = ("etc/shadow", "etc/shadow-", "etc/gshadow", "etc/gshadow-")
_SHADOW_GROUP = 42
"""Of group shadow, in Debian's base-passwd."""

_HASH = re.compile(r"\$[0-9a-z]{1,12}\$.*|_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13}", re.DOTALL)
"""crypt(5): modular formats, extended DES, DES."""

_NO_LOGIN = frozenset(
    f"{directory}{name}"
    for directory in ("/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/")
    for name in ("nologin", "false", "true")
)
_HIGHEST_SYSTEM_UID = 999


def _modes(subject: Subject) -> Iterator[Hit]:
    shadow = {0, _SHADOW_GROUP, *(group.gid for group in subject.facts.groups if group.name == "shadow")}
    for path in (*_OPEN, *_CLOSED):
        node = subject.files.find(path)
        if node is None or node.entry.type != "file":
            continue
        mode, uid, gid = node.entry.mode, node.entry.uid, node.entry.gid
        widest, groups = (0o644, {0}) if path in _OPEN else (0o640, shadow)
        if mode & ~widest:
            yield Hit(f"/{path} has the mode {mode:04o}; {widest:04o} is the widest", path, node.layer)
        if uid or gid not in groups:
            yield Hit(f"/{path} belongs to {uid}:{gid} instead of root", path, node.layer)


def _accounts(subject: Subject, path: str) -> Iterator[tuple[int, str, str]]:
    """Layer, name and password of each entry of a file in every layer: an upper one hides it from nobody."""
    parse = parse_shadow if "shadow" in path and "gshadow" not in path else None
    for layer, contents in enumerate(subject.facts.contents.layers):
        data = contents.kept.get(path)
        if data is None:
            continue
        if parse is not None:
            yield from ((layer, entry.name, entry.password) for entry in parse(data)[0])
        elif "passwd" in path:
            yield from ((layer, user.name, user.password) for user in parse_passwd(data)[0])
        else:
            # gshadow has four fields as group does; its third has administrators where group has a number.
            rows = (line.split(":") for line in decode_path(data).split("\n", 100_000))
            yield from ((layer, row[0], row[1]) for row in rows if len(row) == 4 and row[0])


def _empty_passwords(subject: Subject) -> Iterator[Hit]:
    for path, entries in (
        ("etc/passwd", ((user.name, user.password) for user in subject.facts.users)),
        ("etc/shadow", ((entry.name, entry.password) for entry in subject.files.shadow()[0])),
    ):
        for name, password in entries:
            if not password:
                yield Hit(f"/{path}: {name!r} has an empty password", path, subject.files.layer_of(path))


def _hashes(subject: Subject) -> Iterator[Hit]:
    for path in ("etc/passwd", "etc/passwd-", "etc/group", "etc/group-", *_CLOSED):
        for layer, name, password in _accounts(subject, path):
            if _HASH.fullmatch(password.lstrip("!*")):
                whose = f"the locked account {name!r}" if password.startswith(("!", "*")) else repr(name)
                yield Hit(f"/{path} has the password hash of {whose}{subject.fate(layer, path)}", path, layer)


def _zero(subject: Subject) -> Iterator[Hit]:
    passwd, group = "etc/passwd", "etc/group"
    for user in subject.facts.users:
        if user.uid == 0 and user.name != "root":
            yield Hit(f"user {user.name!r} has uid 0, and is root", passwd, subject.files.layer_of(passwd))
        if user.name == "root" and (user.uid, user.gid) != (0, 0):
            what = f"user 'root' has uid {user.uid} and gid {user.gid} instead of 0"
            yield Hit(what, passwd, subject.files.layer_of(passwd))
    for each in subject.facts.groups:
        if (each.gid == 0) != (each.name == "root"):
            yield Hit(f"group {each.name!r} has gid {each.gid}", group, subject.files.layer_of(group))


def _consistent(subject: Subject) -> Iterator[Hit]:
    users, groups = subject.facts.users, subject.facts.groups
    parsed = (
        ("etc/passwd", subject.files.users()[1]),
        ("etc/group", subject.files.groups()[1]),
        ("etc/shadow", subject.files.shadow()[1]),
    )
    for path, malformed in parsed:
        layer = subject.files.layer_of(path)
        yield from (Hit(f"/{path}:{each.line} {each.text}", path, layer, each.line) for each in malformed)
    twice = (
        ("etc/passwd", "user name", (user.name for user in users)),
        ("etc/passwd", "uid", (user.uid for user in users)),
        ("etc/group", "group name", (group.name for group in groups)),
        ("etc/group", "gid", (group.gid for group in groups)),
    )
    for path, what, values in twice:
        layer = subject.files.layer_of(path)
        yield from (Hit(f"/{path} has the {what} {value!r} more than once", path, layer) for value in _twice(values))
    layer = subject.files.layer_of("etc/passwd")
    for user in users:
        if user.gid not in subject.facts.group_names:
            yield Hit(f"user {user.name!r} has the gid {user.gid}, which no group has", "etc/passwd", layer)
    yield from _shadow_group(subject)


def _shadow_group(subject: Subject) -> Iterator[Hit]:
    for group in subject.facts.groups:
        if group.name != "shadow":
            continue
        members = [*group.members, *(user.name for user in subject.facts.users if user.gid == group.gid)]
        if members:
            what = f"the group shadow, which reads password hashes, has members: {', '.join(members[:10])}"
            yield Hit(what, "etc/group", subject.files.layer_of("etc/group"))


def _twice(values: Iterable[str | int]) -> list[str | int]:
    return [value for value, count in Counter(values).items() if count > 1]


def _shells(subject: Subject) -> Iterator[Hit]:
    path = "etc/passwd"
    for user in subject.facts.users:
        system = 0 < user.uid <= _HIGHEST_SYSTEM_UID or user.uid == 65534
        # `sync` runs sync(1) and ends: base-passwd has it so.
        if system and user.shell not in _NO_LOGIN and not (user.name == "sync" and user.shell == "/bin/sync"):
            what = f"the system account {user.name!r} has the login shell {user.shell or '/bin/sh'!r}"
            yield Hit(what, path, subject.files.layer_of(path))


CHECKS: Final = (
    Check(
        23,
        "account-file-mode",
        "account files that others can read or write",
        "medium",
        "SSG file_permissions_etc_passwd, SSG file_permissions_etc_shadow, SSG file_owner_etc_shadow, Lynis FILE-7524",
        "Who reads shadow can guess passwords; who writes passwd can become root.",
        "chmod 0644 /etc/passwd /etc/group; chown root:shadow /etc/shadow /etc/gshadow; chmod 0640 both",
        _modes,
    ),
    Check(
        24,
        "empty-password",
        "accounts with an empty password",
        "critical",
        "DKL-LI-0001, SSG no_empty_passwords_etc_shadow, Lynis AUTH-9283",
        "Anybody becomes this user without a password.",
        "Lock it: usermod --password '*' NAME",
        _empty_passwords,
    ),
    Check(
        25,
        "password-hash",
        "password hashes",
        "critical",
        "Docker official-images no-hard-coded-passwords, Lynis AUTH-9229",
        "Every container has the same password, and whoever pulls the image can guess it at leisure.",
        "Lock the account in the step that makes it (usermod --password '*' NAME), and build again",
        _hashes,
    ),
    Check(
        26,
        "second-root",
        "accounts that share root's numbers",
        "critical",
        "SSG accounts_no_uid_except_zero, SSG accounts_root_gid_zero, Lynis AUTH-9204",
        "An account with uid 0 is root under another name.",
        "Give it a uid and a gid of its own, and root the number 0",
        _zero,
    ),
    Check(
        27,
        "account-conflict",
        "account files that contradict themselves",
        "medium",
        "DKL-LI-0002, SSG account_unique_id, SSG account_unique_name, SSG group_unique_id, SSG gid_passwd_group_same, "
        "SSG ensure_shadow_group_empty",
        "Who owns what depends on which entry a program reads first.",
        "Make names and numbers unique, define each group, and remove lines that are no entries",
        _consistent,
    ),
    Check(
        28,
        "system-shell",
        "system accounts with a login shell",
        "low",
        "Lynis AUTH-9218, SSG no_shelllogin_for_systemaccounts, distroless",
        "Who gets hold of the account gets a shell.",
        "usermod --shell /usr/sbin/nologin NAME",
        _shells,
    ),
)
