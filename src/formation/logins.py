"""Logins that a person wrote into a URL or a reference, where no message may repeat them."""

import re
from typing import Final

_HIDDEN: Final = "…"
_WORD: Final = r"""[^\s'"`]+"""
_HOST_AND_PATH: Final = r"(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(?::[0-9]{1,5})?/"
_HOST_LENGTH: Final = 300
"""Longer than a host's name may be (RFC 1035)."""


def blotted(text: str) -> str:
    """`text` with the password of every login in it blotted out: `https://me:…@example.com/debian`.

    A login stands in a URL before its host, or in a word such as `me:secret@example.com/base`. Takes time in proportion
    to the text, which may be a stranger's.
    """
    return re.sub(_WORD, lambda match: _blotted_word(match[0]), text) if "@" in text else text


def blotted_reference(text: str) -> str:
    """`text`, which should be an image reference, with the password blotted out that may stand before an @."""
    at = _end_of_login(text)
    return text if at < 0 else _without(text, text.find("://", 0, at), at)


def host_after_login(text: str) -> str | None:
    """The host in `me:secret@example.com/base`, with its port; None when no login stands before a host and a path."""
    at = _end_of_login(text)
    host, slash, _ = text[at + 1 :].partition("/")
    return host if at >= 0 and slash else None


def _blotted_word(word: str) -> str:
    scheme = word.find("://")
    if scheme < 0:
        at = _end_of_login(word)
        user, colon, _ = word[: max(at, 0)].partition(":")
        is_login = bool(colon) and "/" not in user and _is_host(word, at + 1)
        return _without(word, scheme, at) if is_login else word
    start = scheme + len("://")
    end = min((found for mark in "/?#" if (found := word.find(mark, start)) >= 0), default=len(word))
    at = word.rfind("@", start, end)
    _, colon, port = word[start:end].rpartition(":")
    if at < 0 and colon and not port.isdigit() and not port.endswith("]"):
        # No host: a password with a slash in it.
        at = word.rfind("@", start)
    return word if at < 0 else _without(word, scheme, at)


def _end_of_login(text: str) -> int:
    """Where the last @ is that no digest follows; -1: there is none."""
    at = text.rfind("@")
    while at >= 0 and text.startswith(("sha256:", "sha512:"), at + 1):
        at = text.rfind("@", 0, at)
    return at


def _is_host(word: str, start: int) -> bool:
    return re.match(_HOST_AND_PATH, word[start : start + _HOST_LENGTH]) is not None


def _without(text: str, scheme: int, at: int) -> str:
    """`text` without the password, or the token, that ends at `at`; `scheme` is where `://` is, -1 for nowhere."""
    start = 0 if scheme < 0 else scheme + len("://")
    user, colon, _ = text[start:at].partition(":")
    if not colon and not start:
        # A name alone, such as git, is no secret; before a host in a URL it may be a token.
        return text
    shown = f"{user}:" if colon and user else ""
    return f"{text[:start]}{shown}{_HIDDEN}{text[at:]}"
