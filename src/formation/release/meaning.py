"""What values of a config mean to an engine, where there are several ways to write one thing."""

import posixpath
import re
import signal

from formation.contract.promise import Contract

Identity = tuple[str, str, tuple[str, ...]]
"""Uid, gid and further groups; a name where nothing says its number."""


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
    """The name of a signal that is a number, or lacks its SIG; any other text as it is (Dockerfile reference)."""
    try:
        return signal.Signals(int(text)).name if text.isdecimal() else signal.Signals[f"SIG{text}"].name
    except (KeyError, ValueError):
        return text
