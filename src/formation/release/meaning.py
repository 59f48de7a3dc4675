"""What values of a config mean to an engine, where there are several ways to write one thing."""

import posixpath
import re
import signal

from formation.contract.promise import Contract

Identity = tuple[str, str, tuple[str, ...]]
"""Uid, gid and further groups; a name where nothing says its number."""

_REAL_TIME = (
    {34: "SIGRTMIN", 64: "SIGRTMAX"}
    | {34 + number: f"SIGRTMIN+{number}" for number in range(1, 16)}
    | {64 - number: f"SIGRTMAX-{number}" for number in range(1, 15)}
)
"""As Docker names and numbers them on Linux (moby/sys/signal), whatever the C library here keeps for itself."""


def identity(contract: Contract, user: str) -> Identity:
    """As whom USER or USER:GROUP runs, by the accounts of `contract`: root, 0 and 0:0 are the same.

    Further groups are those of a user who is named without a group (runc, libcontainer/user).
    """
    name, colon, group = user.partition(":")
    # A name is looked for before a number.
    entries = sorted(contract.users, key=lambda each: each.name != name)
    entry = next((each for each in entries if name in (each.name, str(each.uid))), None)
    uid = "0" if name == "root" else name if entry is None or entry.uid is None else str(entry.uid)
    if colon:
        return uid, _gid(contract, group), ()
    if entry is None:
        return uid, "0" if uid.isdigit() else name, ()
    return uid, _gid(contract, entry.group or name), entry.groups


def _gid(contract: Contract, group: str) -> str:
    number = next((each.gid for each in contract.groups if each.name == group), None)
    return "0" if group == "root" else group if number is None else str(number)


def directory(path: str) -> str:
    """`path` without a slash at its end, and without what leads nowhere."""
    return re.sub("^//", "/", posixpath.normpath(path)) if path else ""


def port(text: str) -> str:
    """With its protocol, which is TCP where none is said (image-spec 1.1, config.md)."""
    return text if "/" in text else f"{text}/tcp"


def stop_signal(text: str) -> str:
    """The one name of a signal, which may be a number, in small letters or without its SIG; any other text as it is."""
    name = f"SIG{text.upper().removeprefix('SIG')}"
    try:
        if re.fullmatch("[0-9]{1,9}", text):
            return _REAL_TIME.get(int(text)) or signal.Signals(int(text)).name
        return name if name in _REAL_TIME.values() else signal.Signals[name].name
    except (KeyError, ValueError):
        return text
