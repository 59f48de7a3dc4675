"""The rules that the OCI image specification's schemas make for manifests and configs, all broken ones at once.

Parsing an image refuses what cannot be understood; this looks at what can, and still is not as it must be. Source: OCI
image-spec 1.1, schema/*.json, descriptor.md, annotations.md and config.md.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from formation.oci.image import Image
from formation.oci.strict_json import parse_object

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(?:tcp|udp|sctp))?")
_ARCHITECTURES = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le")
) | {"riscv64", "s390x", "wasm"}
_SYSTEMS = frozenset(
    ("aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "linux", "netbsd", "openbsd", "plan9")
) | {"solaris", "wasip1", "windows"}
"""What Go builds for: config.md takes its GOARCH and GOOS."""


def broken_rules(image: Image) -> Iterator[str]:
    """What in the manifest and config of `image` breaks the specification, one sentence each."""
    manifest = parse_object(image.manifest_bytes, "image manifest").value
    yield from _manifest(manifest)
    yield from _config(parse_object(image.config_bytes, "image config").value)


def _manifest(value: Mapping[str, Any]) -> Iterator[str]:
    yield from _annotations(value.get("annotations"), "the manifest")
    yield from _descriptor(value.get("config"), "the manifest's config")
    layers = value.get("layers")
    if not isinstance(layers, list) or not layers:
        yield "the manifest has no layers, and must have one at least"
        return
    for number, layer in enumerate(layers):
        yield from _descriptor(layer, f"layer {number}")


def _descriptor(value: Any, what: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{what} has no descriptor"
        return
    if not _MEDIA_TYPE.fullmatch(str(value.get("mediaType", ""))):
        yield f"{what} has a media type that is none: {str(value.get('mediaType'))[:100]!r}"
    if not _DIGEST.fullmatch(str(value.get("digest", ""))):
        yield f"{what} has a digest that is none: {str(value.get('digest'))[:100]!r}"
    urls = value.get("urls", [])
    if not isinstance(urls, list) or not all(isinstance(url, str) and "://" in url for url in urls):
        yield f"{what} has urls that are none"
    yield from _annotations(value.get("annotations"), what)


def _annotations(value: Any, what: str) -> Iterator[str]:
    if value is None:
        return
    for key, text in value.items() if isinstance(value, dict) else ():
        if not key or not isinstance(text, str):
            yield f"{what} has an annotation {key[:100]!r} that is no text"
        elif key == "org.opencontainers.image.created" and not _is_time(text):
            yield f"{what} was created at {text[:100]!r}, which is no time of RFC 3339"


def _config(value: Mapping[str, Any]) -> Iterator[str]:
    if value.get("architecture") not in _ARCHITECTURES:
        yield f"the config has the architecture {str(value.get('architecture'))[:100]!r}, which Go does not know"
    if value.get("os") not in _SYSTEMS:
        yield f"the config has the operating system {str(value.get('os'))[:100]!r}, which Go does not know"
    if value.get("created") is not None and not _is_time(value["created"]):
        yield f"the config was created at {str(value['created'])[:100]!r}, which is no time of RFC 3339"
    for number, entry in enumerate(value.get("history") or []):
        if isinstance(entry, dict) and entry.get("created") is not None and not _is_time(entry["created"]):
            yield f"entry {number} of the history was created at no time of RFC 3339"
    execution = value.get("config")
    if isinstance(execution, dict):
        yield from _execution(execution)


def _execution(value: Mapping[str, Any]) -> Iterator[str]:
    names: Counter[str] = Counter()
    for variable in value.get("Env") or []:
        name, equals, _ = str(variable).partition("=")
        if not name or not equals or "\0" in str(variable):
            yield f"the environment has {str(variable)[:100]!r}, which is not NAME=VALUE"
        names[name] += 1
    for name in sorted(name for name, count in names.items() if count > 1):
        yield f"the environment has {name[:100]} more than once"
    for port in value.get("ExposedPorts") or {}:
        match = _PORT.fullmatch(str(port))
        if match is None or not all(0 < int(number) < 65536 for number in match.groups() if number):
            yield f"the exposed port {str(port)[:100]!r} is not PORT/PROTOCOL"
    for key in ("ExposedPorts", "Volumes"):
        entries = value.get(key)
        if isinstance(entries, dict) and any(entry not in ({}, None) for entry in entries.values()):
            yield f"{key} has a value that is not {{}}"
    directory = value.get("WorkingDir")
    if isinstance(directory, str) and directory and not directory.startswith("/"):
        yield f"the working directory {directory[:100]!r} is not absolute"
    for volume in value.get("Volumes") or {}:
        if not str(volume).startswith("/"):
            yield f"the volume {str(volume)[:100]!r} is not absolute"
    for key in ("Entrypoint", "Cmd"):
        words = value.get(key)
        if isinstance(words, list) and words and not words[0]:
            yield f"{key} begins with an empty word"


def _is_time(text: Any) -> bool:
    """Whether `text` is a time of RFC 3339 with its zone; Go writes nine digits of a second, and sometimes year 1."""
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt].*([Zz]|[+-]\d\d:\d\d)", text):
        return False
    try:
        datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text).upper())
    except ValueError:
        return False
    return True
