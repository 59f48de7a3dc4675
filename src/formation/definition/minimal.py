"""What a variant with `only` takes of the files that the definition adds to what it extends."""

import re

_NOT_TAKEN = re.compile(
    r"/(etc/(apt|dpkg|pam\.d|profile\.d|cron\.[^/]+)|usr/s?bin|var/lib/(apt|dpkg)|var/cache/apt)/.+"
)
"""The configuration of what is not there, and scripts for it, such as policy-rc.d."""


def is_taken(path: str) -> bool:
    """Whether the file or directory at the absolute `path` is in the variant too."""
    return not _NOT_TAKEN.fullmatch(path)
