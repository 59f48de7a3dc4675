"""The rules that single values of a service follow, beside those of `grammar`."""

import re

from formation.definition.grammar import REPOSITORY
from formation.definition.ignore import Ignored
from formation.definition.problems import Invalid
from formation.errors import UsageError
from formation.oci.name import Transport, parse_name
from formation.oci.reference import parse_reference

PORT = r"^([1-9][0-9]{0,4})(/(tcp|udp|sctp))?$"
DURATION = r"^([0-9]+(h|m|s|ms))+$"
"""The durations of Docker and Compose, in whole numbers."""
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
SERVICE = r"^[a-z]([a-z0-9-]{0,53}[a-z0-9])?$"
"""A DNS label (RFC 1035, 2.3.1) that stays one with a dash and a number behind it: engines name containers so."""
SOURCE = r"^[^/\u0000-\u001f\u007f][^\u0000-\u001f\u007f]*$"

REGISTRY = Transport.REGISTRY.value
_UNITS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000}
_LONGEST = 24 * _UNITS["h"]


def port(value: object) -> object:
    """A port and its protocol: `53/udp`; tcp when none is written."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        return value
    number, slash, protocol = text.partition("/")
    if re.fullmatch(r"-?[0-9]+", number) and not 0 < int(number[:9]) < 65536:
        raise Invalid(f"the port {number} is not from 1 to 65535")
    if not re.fullmatch(PORT, text):
        lower = text.lower()
        hint = f"did you mean {lower!r}?" if re.fullmatch(PORT, lower) else "such as 8080 or 53/udp"
        if ":" in text:
            hint = "write the port inside the container; where it is published, the one who runs it says"
        raise Invalid(f"{text!r} is not a port", hint)
    return f"{number}/{protocol if slash else 'tcp'}"


def duration(value: object) -> object:
    """A duration in nanoseconds, which Docker's image config counts in: `30s`, `1m30s`, `500ms`."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise Invalid(f"the duration {value} has no unit", f'write "{value}s"')
    if not isinstance(value, str):
        return value
    if not re.fullmatch(DURATION, value):
        raise Invalid(f"{value!r} is not a duration", "such as 30s, 1m30s or 500ms")
    total = sum(int(number[:12]) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", value))
    if total > _LONGEST:
        raise Invalid(f"{value!r} is longer than a day")
    return total


def duration_text(nanoseconds: int) -> str:
    """The duration as Docker, Compose and `duration` read it: `1m30s`."""
    words = []
    for unit, size in _UNITS.items():
        count, nanoseconds = divmod(nanoseconds, size)
        words += [f"{count}{unit}"] if count else []
    return "".join(words) or "0s"


def base_image(text: str) -> str:
    """The name of a base image as `store.open_image` takes it, or `docker://REFERENCE` for a registry."""
    if text.startswith("sha256:"):
        raise Invalid(f"{text[:80]!r} is a digest, not an image", "write REPOSITORY@sha256:…")
    try:
        if text.startswith(REGISTRY):
            parse_reference(text.removeprefix(REGISTRY))
        elif parse_name(text).transport is Transport.STORE and re.fullmatch(REPOSITORY, text):
            raise Invalid(f"the base {text!r} has no version", f"write it as {text}:1.0.0")
    except UsageError as error:
        raise Invalid(error.message, error.hint) from None
    return text


def source(text: str) -> str:
    """A path relative to the definition's directory, without `./` before it; with a slash behind it for a directory."""
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise Invalid(f"{text!r} is outside the definition's directory", "copy the file beside the definition")
    if not re.fullmatch(SOURCE, text) or len(text.encode()) > 1000:
        raise Invalid(f"{text[:80]!r} is not the path of a file beside the definition")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    slash = "/" if text.endswith(("/", "/.")) or text == "." else ""
    return "/".join(parts) + slash if parts else "./"


def is_directory(source: str | None) -> bool:
    """Whether `source` stands for a whole directory."""
    return source is not None and source.endswith("/")


def ignore_pattern(text: str) -> str:
    """A pattern of .dockerignore."""
    Ignored((text,))
    return text


def variable_name(text: str) -> str:
    """The name of a variable."""
    if not re.fullmatch(VARIABLE, text):
        raise Invalid(f"{text!r} is not the name of a variable: letters, digits and _, no digit first")
    return text


def service_name(text: str) -> str:
    """The name of a service in compose files and directories."""
    if not re.fullmatch(SERVICE, text):
        lower = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        hint = f"did you mean {lower!r}?" if re.fullmatch(SERVICE, lower) else "such as form-dns"
        raise Invalid(f"{text[:80]!r} is not a service name: up to 55 of a-z, 0-9 and -, a letter first", hint)
    return text
