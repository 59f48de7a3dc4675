"""Telling a secret from what only looks like one: the name of a variable, and the shape of its value, both.

Scanners that look for `secret` or `key` anywhere report `libcrypto3=3.1.4`. Here a name is cut into its words, and a
value must be one that could open something.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from formation.contents.detectors import DETECTORS, find
from formation.entry import encode_path

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRETS = (
    "password passwd passphrase pwd secret secrets token apikey credential credentials authtoken accesstoken "
    "privatekey accesskey secretkey pass dockercfg bearer jwt"
)
_SECRET_WORDS: Final = frozenset(_SECRETS.split())
_KEYS = "api access private secret signing encryption master account license auth"
_SECRET_KEYS: Final = frozenset(_KEYS.split())
"""Words before `key` that make one secret: a public key is none."""

_NOTIONS = (
    "file path dir directory name url uri endpoint ttl length size type id expiry expires timeout issuer audience "
    "algorithm header prefix policy min max enabled disabled required version count command cmd helper store provider "
    "env"
)
_ABOUT: Final = frozenset(_NOTIONS.split())
"""Words behind which the value is about a secret, and none: `DB_PASSWORD_FILE`, `TOKEN_TTL`."""

_FLAGS = (
    "none null nil true false yes no on off auto default random prompt disabled enabled required optional redacted "
    "placeholder unset empty ask basic"
)
_NO_VALUE: Final = frozenset(_FLAGS.split())
_MASKED = re.compile(r"[*x.#?-]{3,}|<.*>|\[.*\]", re.IGNORECASE)
_REFERENCE = re.compile(r"\$[A-Za-z_{(].*|\{\{.*|%[A-Za-z_]+%|@.*")
_PIN = re.compile(r"[a-z0-9][a-z0-9.+-]+=(?:[0-9]{1,10}:)?[0-9][A-Za-z0-9.+~-]*")
"""A package with its version: `passwd=1:4.17.4-2`."""
_PLACE = re.compile(r"\.{0,2}/.*|[a-z]+://[^\s@]*|file:.*")
_LOGIN_IN_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,200}:([^\s/@]{3,200})@", re.IGNORECASE)
_SHORTEST = 3
_LONGEST = 8192
"""Characters of a value that are looked at."""

_ASSIGNMENT = re.compile(
    r"(?<![\w-])(-{0,2}[A-Za-z_][A-Za-z0-9_.-]{0,80})="
    r"(\"[^\"\n]{0,4096}\"|'[^'\n]{0,4096}'|[^\s;|&]{1,4096})"
)
_OPTION = re.compile(r"(?<!\S)--([a-z][a-z0-9-]{1,40}) ([^\s;|&-][^\s;|&]{0,400})")


@cache
def is_secret_name(name: str) -> bool:
    """Whether a variable or option called `name` holds a secret."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if not words or words[-1] in _ABOUT:
        return False
    return bool(_SECRET_WORDS.intersection(words)) or any(
        after == "key" and before in _SECRET_KEYS for before, after in pairwise(words)
    )


def is_secret_value(value: str) -> bool:
    """Whether `value` could be a secret: no flag, number of few digits, path, address, reference or placeholder."""
    value = value.strip().strip("\"'")
    if len(value) < _SHORTEST or value.lower() in _NO_VALUE or " " in value.strip():
        return False
    if value.isdigit() and len(value) < 4:
        return False
    return not any(pattern.fullmatch(value) for pattern in (_MASKED, _REFERENCE, _PLACE))


def known_token(value: str) -> str | None:
    """The detector that knows `value`, or a part of it, by its shape; None when none does."""
    data = encode_path(value[:_LONGEST])
    for name, _ in find(data, len(data), DETECTORS):
        return name
    login = _LOGIN_IN_URL.search(value[:_LONGEST])
    return "login-in-url" if login and is_secret_value(login[1]) else None


def secret_in(name: str, value: str) -> bool:
    """Whether the variable `name` gives a secret away."""
    return (is_secret_name(name) and is_secret_value(value)) or known_token(value) is not None


def secret_names(text: str) -> Iterator[str]:
    """The names of variables and options in a command line that give a secret away, each once."""
    seen = set()
    text = text[: 8 * _LONGEST]
    for pattern in (_ASSIGNMENT, _OPTION):
        for match in pattern.finditer(text):
            name = match[1].lstrip("-")
            if _PIN.fullmatch(match[0].rstrip(",")):
                continue
            if name not in seen and is_secret_name(name) and is_secret_value(match[2]):
                seen.add(name)
                yield name
