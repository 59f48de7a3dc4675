"""Users and groups in /etc, as `groupadd` and `useradd` would add them.

Source: useradd(8), passwd(5), shadow(5), gshadow(5).
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from formation.dataclass import dataclass, replace
from formation.definition.values import Group, User
from formation.entry import lines_of
from formation.errors import FormationError

SYSTEM_RANGE = range(101, 1000)
ORDINARY_RANGE = range(1000, 60001)
"""Both as Debian's /etc/login.defs leaves them."""
_DAY = 86400
_ID = re.compile("[0-9]{1,10}")
_LARGEST_ID = 2**32 - 2
_REDECLARED = "leave it out to have it as it is, or choose another name"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The four account files, as text; a missing one is empty."""

    passwd: str = ""
    group: str = ""
    shadow: str = ""
    gshadow: str = ""
    maker: str = "a package"
    """Who made those that are there, for messages."""

    def user_id(self, name: str) -> int:
        """The uid of a user name or of decimal digits. Raises FormationError for an unknown name."""
        return _identify(name, self.passwd, "user")

    def group_id(self, name: str) -> int:
        """The gid of a group name or of decimal digits. Raises FormationError for an unknown name."""
        return _identify(name, self.group, "group")

    def with_group(self, group: Group) -> "Accounts":
        """These accounts and `group`; unchanged when it exists with the wanted id.

        Raises FormationError when it exists with another id, or the id belongs to another group.
        """
        taken = ids(self.group)
        if group.name in taken:
            self._require_same("group", group.name, group.gid, taken[group.name])
            return self
        gid = _free_id("group", group.name, group.gid, group.system, taken)
        return replace(
            self,
            group=self.group + f"{group.name}:x:{gid}:\n",
            gshadow=self.gshadow + f"{group.name}:!::\n" if self.gshadow else "",
        )

    def with_user(self, user: User, epoch: int) -> "Accounts":
        """These accounts and `user`, with a locked password that was changed on the day of `epoch`.

        Raises FormationError as `with_group` does, and for an unknown group.
        """
        taken = ids(self.passwd)
        if user.name in taken:
            return self._with_declared(user, taken[user.name])
        uid = _free_id("user", user.name, user.uid, user.system, taken)
        gid = self.group_id(user.group)
        line = f"{user.name}:x:{uid}:{gid}:{user.comment}:{user.home}:{user.shell}\n"
        # useradd gives system accounts no password ageing.
        ageing = "::::::" if user.system else ":0:99999:7:::"
        changed = replace(
            self,
            passwd=self.passwd + line,
            shadow=self.shadow + f"{user.name}:!:{epoch // _DAY}{ageing}\n" if self.shadow else "",
        )
        return changed._with_memberships(user)

    def _with_declared(self, user: User, uid: int) -> "Accounts":
        """These accounts, which have a user of that name: it must be as declared."""
        self._require_same("user", user.name, user.uid, uid)
        line = next(line for line in lines_of(self.passwd) if line.startswith(f"{user.name}:"))
        fields = line.split(":")
        actual = tuple(fields[3:4] + fields[5:7])
        if actual != (str(self.group_id(user.group)), user.home, user.shell):
            what = f"the user {user.name!r} with another group, home or shell than the definition"
            raise FormationError(f"{self.maker} made {what}: {line}", hint=_REDECLARED)
        return self._with_memberships(user)

    def _require_same(self, what: str, name: str, wanted: int | None, actual: int) -> None:
        if wanted is not None and wanted != actual:
            raise FormationError(
                f"{self.maker} made the {what} {name!r} with the id {actual}, and the definition wants {wanted}",
                hint=_REDECLARED,
            )

    def _with_memberships(self, user: User) -> "Accounts":
        changed = self
        for name in user.groups:
            changed = changed._with_member(name, user.name)
        return changed

    def _with_member(self, group: str, user: str) -> "Accounts":
        self.group_id(group)
        return replace(self, group=_add_member(self.group, group, user), gshadow=_add_member(self.gshadow, group, user))


def _identify(name: str, text: str, what: str) -> int:
    if name.isascii() and name.isdecimal():
        return int(name)
    found = ids(text).get(name)
    if found is None:
        raise FormationError(
            f"the image has no {what} {name!r}", hint=f"add it to {what}s: in the definition, or write its number"
        )
    return found


def ids(text: str) -> Mapping[str, int]:
    """Name → id of passwd or group. As for glibc, the first line of a name counts; malformed ones are passed over."""
    found: dict[str, int] = {}
    for name, number in _entries(text):
        found.setdefault(name, number)
    return found


def names(text: str) -> Mapping[int, str]:
    """Id → name of passwd or group, the first of several as for glibc; malformed lines are passed over."""
    found: dict[int, str] = {}
    for name, number in _entries(text):
        found.setdefault(number, name)
    return found


def _entries(text: str) -> Iterator[tuple[str, int]]:
    """Name and id of each line of passwd or group that is well formed."""
    for line in lines_of(text):
        fields = line.split(":")
        if len(fields) >= 4 and fields[0] and _ID.fullmatch(fields[2]) and int(fields[2]) <= _LARGEST_ID:
            yield fields[0], int(fields[2])


def _free_id(what: str, name: str, wanted: int | None, system: bool, taken: Mapping[str, int]) -> int:
    """The id that shadow's tools choose: for the system the one below the lowest in use, else that above the highest.

    Where that end of the range is reached, the first free one from the other end. Source: shadow's lib/find_new_uid.c.
    """
    used = set(taken.values())
    if wanted is not None:
        if wanted in used:
            holder = next(other for other, number in taken.items() if number == wanted)
            raise FormationError(f"the id {wanted} of the {what} {name!r} belongs to {holder!r}")
        return wanted
    order: Sequence[int] = SYSTEM_RANGE[::-1] if system else ORDINARY_RANGE
    outermost = max((order.index(number) for number in used if number in order), default=-1)
    for number in (*order[outermost + 1 :], *order):
        if number not in used:
            return number
    raise FormationError(f"no id is free for the {what} {name!r}")


def _add_member(text: str, group: str, user: str) -> str:
    lines = []
    for line in lines_of(text):
        fields = line.split(":")
        if fields[0] == group and len(fields) == 4:
            members = [member for member in fields[3].split(",") if member]
            fields[3] = ",".join([*members, user] if user not in members else members)
        lines.append(":".join(fields))
    return "".join(f"{line}\n" for line in lines)
