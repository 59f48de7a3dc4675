"""Logins that a person wrote into a URL or a reference, where no message may repeat them."""

import re
from typing import Final

# No login are `base:1.0@sha256:…`, `localhost:5000/a@b`, `runtime:/lib/systemd/system/getty@.service`, `oci:a@b`.
_USER: Final = r"""(?<![^\s'"`(<=,/])(?!(?:oci|oci-archive|docker-archive|docker-daemon):)([^\s'"`(<=,/:@]+)"""
_LOGIN: Final = rf"{_USER}:(?!/|[0-9]{{1,5}}/)\S+@(?!sha[0-9]+:)"
_HIDDEN: Final = "…"


def blotted(text: str) -> str:
    """`text` with the password of every login in it blotted out: `https://me:…@example.com/debian`."""
    return re.sub(_LOGIN, rf"\1:{_HIDDEN}@", text) if "@" in text else text
