"""Patterns that are looked for in the content of every file, in the same pass that reads it.

A detector is plain data: all of them together are part of the name under which a layer's facts are cached.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from formation.dataclass import dataclass

OVERLAP: Final = 4096
"""A match in a large file is at most so long: files are searched piece by piece."""

_MOST_MATCHES = 10
"""Of one detector in one file."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What to look for. `pattern` is only tried where one of `needles` occurs: that costs a tenth."""

    name: str
    needles: tuple[bytes, ...]
    pattern: bytes
    """A regular expression on bytes, of bounded length."""
    largest: int | None
    """Bytes of the largest file that is searched; None: all are."""
    text_only: bool
    """Whether files with a zero byte are left out."""


_SMALL = 1 << 20

DETECTORS: Final = (
    # Programs that read keys hold the first line of one; only a key has what follows it.
    Detector(
        "private-key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\r?\n|\\n)"
        rb"(?:[A-Za-z-]{1,40}:[^\n]{0,200}\n){0,8}\s{0,4}[A-Za-z0-9+/=]{32}",
        None,
        False,
    ),
    Detector("aws-key", (b"AKIA", b"ASIA"), rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", _SMALL, True),
    Detector(
        "aws-secret",
        (b"aws_secret_access_key",),
        rb"aws_secret_access_key\s{0,4}[=:]\s{0,4}[\"']?[A-Za-z0-9/+]{40}\b",
        _SMALL,
        True,
    ),
    Detector(
        "github-token",
        (b"ghp_", b"gho_", b"ghs_", b"ghr_", b"github_pat_"),
        rb"\b(?:gh[posr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60})",
        _SMALL,
        True,
    ),
    Detector("gitlab-token", (b"glpat-",), rb"\bglpat-[A-Za-z0-9_-]{20}", _SMALL, True),
    Detector("slack-token", (b"xox",), rb"\bxox[abprs]-[0-9A-Za-z]{8,48}-[0-9A-Za-z-]{8}", _SMALL, True),
    Detector(
        "npm-token",
        (b"_authToken", b"npm_"),
        rb"_authToken\s{0,4}=\s{0,4}[^\s$]{16}|\bnpm_[A-Za-z0-9]{36}\b",
        _SMALL,
        True,
    ),
    Detector("google-key", (b"AIzaSy",), rb"\bAIzaSy[0-9A-Za-z_-]{33}\b", _SMALL, True),
    Detector("stripe-key", (b"k_live_",), rb"\b[rs]k_live_[0-9A-Za-z]{24}", _SMALL, True),
    Detector("registry-login", (b'"auths"',), rb'"auth"\s{0,4}:\s{0,4}"[A-Za-z0-9+/=]{8}', _SMALL, True),
)
"""In the order in which they are looked for. Sources: the vendors' documentation of their tokens' forms."""


@cache
def _compiled(pattern: bytes) -> "re.Pattern[bytes]":
    return re.compile(pattern)


def find(data: bytes, size: int, detectors: Sequence[Detector]) -> Iterator[tuple[str, int]]:
    """Name of the detector and offset in `data` of each match; `data` is a piece of a file of `size` bytes.

    The file is no program: libraries carry keys to test themselves with.
    """
    binary = b"\0" in data
    for detector in detectors:
        if (binary and detector.text_only) or (detector.largest is not None and size > detector.largest):
            continue
        if not any(needle in data for needle in detector.needles):
            continue
        for count, match in enumerate(_compiled(detector.pattern).finditer(data)):
            if count == _MOST_MATCHES:
                break
            yield detector.name, match.start()
