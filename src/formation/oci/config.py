"""The image config: how to run the image, and the diffIDs of its layers (OCI image-spec 1.1, config.md)."""

from collections.abc import Mapping
from typing import Any

from formation.dataclass import dataclass, field
from formation.digest import check_digest
from formation.errors import MalformedError
from formation.files import json_bytes
from formation.oci.descriptor import Platform
from formation.oci.strict_json import JsonObject, parse_object

_HEALTH_NUMBERS = ("Interval", "Timeout", "StartPeriod", "Retries", "StartInterval")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How an engine finds out whether a container works: Docker's `Healthcheck`, a name that config.md reserves for it.

    Durations are in nanoseconds; 0 means the engine's default.
    """

    test: tuple[str, ...]
    """`CMD` and words, `CMD-SHELL` and a line of shell, or `NONE`."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    retries: int = 0
    start_interval: int = 0
    """As long as the start period lasts."""

    @property
    def numbers(self) -> tuple[tuple[str, int], ...]:
        """Docker's names of all that is a number → what it is."""
        values = (self.interval, self.timeout, self.start_period, self.retries, self.start_interval)
        return tuple(zip(_HEALTH_NUMBERS, values, strict=True))


@dataclass(frozen=True, slots=True)
class Execution:
    """The `config` object: what an engine applies when it runs the image."""

    environment: tuple[str, ...] = ()
    """`NAME=VALUE`, in order."""
    user: str = ""
    """Empty: root."""
    working_directory: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    """Sorted."""
    exposed_ports: tuple[str, ...] = ()
    """`53/udp`, sorted."""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    stop_signal: str = ""
    health_check: HealthCheck | None = None
    on_build: tuple[str, ...] = ()
    """Instructions of a Dockerfile, which every image that is built on this one runs first."""
    shell: tuple[str, ...] = ()
    """What runs the RUN, CMD and ENTRYPOINT of a Dockerfile that are lines; empty: the builder's own."""


@dataclass(frozen=True, slots=True)
class History:
    """How one layer came to be; `empty_layer` marks a step that made no layer."""

    created: str | None = None
    """RFC 3339."""
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """A whole image config."""

    platform: Platform
    diff_ids: tuple[str, ...]
    """Digests of the uncompressed layers, base layer first."""
    execution: Execution = Execution()
    history: tuple[History, ...] = ()
    """Base first; empty, or one entry for each layer beside the entries that are marked empty."""
    created: str | None = None
    """RFC 3339."""


def parse_config(data: bytes) -> Config:
    """The config that `data` is. Fields that Formation has no use for stay in `data`. Raises MalformedError."""
    json = parse_object(data, "image config")
    root = json.object("rootfs")
    if root.text("type") != "layers":
        raise MalformedError("image config: rootfs type is not `layers`")
    execution = json.optional_object("config")
    return Config(
        platform=Platform(json.text("os"), json.text("architecture"), json.optional_text("variant") or None),
        diff_ids=tuple(check_digest(digest) for digest in root.texts("diff_ids")),
        execution=Execution() if execution is None else _parse_execution(execution),
        history=tuple(_parse_history(entry) for entry in json.objects("history")),
        created=json.optional_text("created"),
    )


def config_bytes(config: Config) -> bytes:
    """`config` as canonical JSON: the same value always gives the same bytes, hence the same digest."""
    value: dict[str, Any] = {
        "architecture": config.platform.architecture,
        "os": config.platform.os,
        "config": _execution_json(config.execution),
        "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
    }
    if config.platform.variant is not None:
        value["variant"] = config.platform.variant
    if config.created is not None:
        value["created"] = config.created
    if config.history:
        value["history"] = [_history_json(entry) for entry in config.history]
    return json_bytes(value)


def _parse_execution(json: JsonObject) -> Execution:
    return Execution(
        environment=json.texts("Env"),
        user=json.optional_text("User") or "",
        working_directory=json.optional_text("WorkingDir") or "",
        entrypoint=json.optional_texts("Entrypoint"),
        command=json.optional_texts("Cmd"),
        volumes=json.names("Volumes"),
        exposed_ports=json.names("ExposedPorts"),
        labels=json.text_map("Labels"),
        stop_signal=json.optional_text("StopSignal") or "",
        health_check=_parse_health_check(json.optional_object("Healthcheck")),
        on_build=json.texts("OnBuild"),
        shell=json.texts("Shell"),
    )


def _parse_health_check(json: JsonObject | None) -> HealthCheck | None:
    test = json.texts("Test") if json is not None else ()
    if json is None or not test:
        return None
    numbers = (json.optional_size(name) or 0 for name in _HEALTH_NUMBERS)
    return HealthCheck(test, *numbers)


def _execution_json(execution: Execution) -> dict[str, Any]:
    value: dict[str, Any] = {
        "Env": list(execution.environment),
        "User": execution.user,
        "WorkingDir": execution.working_directory,
        "Entrypoint": None if execution.entrypoint is None else list(execution.entrypoint),
        "Cmd": None if execution.command is None else list(execution.command),
        "Volumes": {path: {} for path in execution.volumes},
        "ExposedPorts": {port: {} for port in execution.exposed_ports},
        "Labels": dict(execution.labels),
        "StopSignal": execution.stop_signal,
        "Healthcheck": None if execution.health_check is None else _health_check_json(execution.health_check),
        "OnBuild": list(execution.on_build),
        "Shell": list(execution.shell),
    }
    return {key: entry for key, entry in value.items() if entry}


def _health_check_json(check: HealthCheck) -> dict[str, Any]:
    return {"Test": list(check.test), **{name: number for name, number in check.numbers if number}}


def _parse_history(json: JsonObject) -> History:
    return History(
        created=json.optional_text("created"),
        created_by=json.optional_text("created_by"),
        comment=json.optional_text("comment"),
        empty_layer=json.flag("empty_layer"),
    )


def _history_json(entry: History) -> dict[str, Any]:
    value = {
        "created": entry.created,
        "created_by": entry.created_by,
        "comment": entry.comment,
        "empty_layer": entry.empty_layer or None,
    }
    return {key: field for key, field in value.items() if field is not None}
