"""What of two images' configs and manifests is not as before, beside what a contract says of them."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from formation.oci.config import HealthCheck
from formation.oci.image import Image
from formation.oci.platform_index import version_of
from formation.release.changes import BUILD_LABELS, Change, configured

_SHELL: Final = ("/bin/sh", "-c")
"""What builders take where an image says nothing (Dockerfile reference, SHELL)."""
_NAMES_SHOWN: Final = 8
_HEALTH_DEFAULTS: Final = {
    "Interval": 30_000_000_000,
    "Timeout": 30_000_000_000,
    "StartPeriod": 0,
    "StartInterval": 5_000_000_000,
    "Retries": 3,
}
"""What Docker takes for 0 (Dockerfile reference, HEALTHCHECK); times in nanoseconds."""


def config_changes(old: Image, new: Image) -> Iterator[Change]:
    """The health check, OnBuild and Shell: Docker's keys, whose names image-spec 1.1 reserves (config.md)."""
    before, after = old.config.execution, new.config.execution
    yield from configured("health check", _health_check(before.health_check), _health_check(after.health_check))
    yield from configured("OnBuild", "; ".join(before.on_build), "; ".join(after.on_build))
    yield from configured("Shell", shlex.join(before.shell or _SHELL), shlex.join(after.shell or _SHELL))


def other_content(old: Image, new: Image) -> Change | None:
    """What gives `new` another digest, where nothing else tells it; None where it is the version's labels alone.

    Two images of one version differ by anything, for a registry takes one content under a version.
    """
    if old.digest == new.digest:
        return None
    versions = {version_of(old), version_of(new)}
    another_version = len(versions) == 2 and "" not in versions
    before, after = (_parts(image, without_build=another_version) for image in (old, new))
    different = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if not different and another_version:
        return None
    named = [_order(name, before.get(name), after.get(name)) for name in different[:_NAMES_SHOWN]]
    if len(different) > _NAMES_SHOWN:
        named.append(f"{len(different) - _NAMES_SHOWN} more")
    return Change("content", "changed", ", ".join(named) or "the JSON, which is written in another way")


def _order(name: str, old: Any, new: Any) -> str:
    if isinstance(old, list) and isinstance(new, list) and sorted(map(str, old)) == sorted(map(str, new)):
        return f"the order of {name}"
    return name


def _parts(image: Image, *, without_build: bool) -> Mapping[str, Any]:
    """Each key of config and manifest by its name, but for what only names the other parts."""
    # An Image has been parsed strictly already; its views leave out what Formation has no use for.
    config, manifest = json.loads(image.config_bytes), json.loads(image.manifest_bytes)
    execution = config.get("config") or {}
    parts = {f"config.{name}": value for name, value in execution.items() if name != "Labels"}
    parts |= {f"label {name}": value for name, value in (execution.get("Labels") or {}).items()}
    parts |= {name: value for name, value in config.items() if name != "config"}
    annotations = manifest.get("annotations") or {}
    parts |= {f"annotation {name}": value for name, value in annotations.items()}
    parts |= {f"manifest.{name}": value for name, value in manifest.items() if name not in ("annotations", "config")}
    parts["manifest.config"] = {**manifest["config"], "digest": "", "size": 0}
    if without_build:
        for name in BUILD_LABELS:
            parts.pop(f"label {name}", None)
            parts.pop(f"annotation {name}", None)
    return parts


def _health_check(check: HealthCheck | None) -> str:
    """As people write it; empty when there is none."""
    if check is None or check.test[0] == "NONE":
        return ""
    numbers = {name: number or _HEALTH_DEFAULTS[name] for name, number in check.numbers}
    said = [f"{name} {_number(name, value)}" for name, value in numbers.items() if value != _HEALTH_DEFAULTS[name]]
    return ", ".join([shlex.join(check.test), *said])


def _number(name: str, value: int) -> str:
    return str(value) if name == "Retries" else f"{value / 1e9:g} s"
