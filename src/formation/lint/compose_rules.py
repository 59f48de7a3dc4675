"""The rules about services in compose files (compose-spec)."""

from collections.abc import Callable, Iterator

from formation.lint.base_rules import World, image_findings
from formation.lint.container_rules import (
    DANGEROUS_CAPABILITIES,
    capability,
    covers_logs,
    is_our_service,
    is_powerful,
    is_root,
)
from formation.lint.dockerfile_rules import LOG_VOLUME
from formation.lint.findings import Finding, finding
from formation.lint.secrets import is_secret_name, is_secret_value
from formation.lint.text import Text, shown
from formation.lint.variables import expanded
from formation.lint.yaml_documents import Mapping, inserted

_HOST = ("network_mode", "pid", "ipc", "userns_mode", "uts", "cgroup")


def compose_findings(text: Text, document: Mapping, world: World, is_base: Callable[[str], bool]) -> Iterator[Finding]:
    """Findings about every service; `is_base` tells whether a build context, as written, makes a base."""
    for name in document.mapping("services").data:
        service = document.mapping("services", name)
        context = service.get("build", "context") or service.get("build")
        if isinstance(context, str) and is_base(context):
            continue
        yield from _service(text, service, str(name), world)


def _service(text: Text, service: Mapping, name: str, world: World) -> Iterator[Finding]:
    image = service.get("image")
    known = expanded(image, {}) if isinstance(image, str) else None
    if known is not None:
        yield from image_findings(text, service.at("image"), known, world)
    yield from _powers(text, service, name)
    yield from _mounts(text, service)
    yield from _secrets(text, service)
    if is_root(service.get("user")):
        yield finding(text, service.at("user"), "FL010", f"{shown(name)} runs as root", fix="write user: formation")
    health = service.mapping("healthcheck")
    test = health.get("test")
    if health.get("disable") is True or test in ("NONE", ["NONE"]):
        yield finding(text, service.at("healthcheck"), "FL012", f"the health check of {shown(name)} is switched off")
    # Part of a service, whose rest is in another file: what is missing may be there.
    whole = ("image" in service.data or "build" in service.data) and "extends" not in service.data
    if whole:
        yield from _missing(text, service, name, known, world)


def _missing(text: Text, service: Mapping, name: str, image: str | None, world: World) -> Iterator[Finding]:
    at = service.at()
    who = shown(name)
    # A Dockerfile that is built here is looked at itself.
    if "healthcheck" not in service.data and "build" not in service.data:
        yield finding(text, at, "FL012", f"{who} has no health check that can be seen here", fix="add healthcheck:")
    if service.get("read_only") is not True:
        yield finding(text, at, "FL050", f"the root file system of {who} can be written to", fix="add read_only: true")
    if "ALL" not in map(capability, service.items("cap_drop")):
        yield finding(text, at, "FL051", f"{who} keeps capabilities", fix="add cap_drop: [ALL]")
    options = [str(option).replace("=", ":") for option in service.items("security_opt")]
    if not {"no-new-privileges", "no-new-privileges:true"} & set(options):
        absent = "security_opt" not in service.data
        edits = inserted(text, service, ('security_opt: ["no-new-privileges:true"]',)) if absent else ()
        fix = 'add security_opt: ["no-new-privileges:true"]'
        yield finding(text, at, "FL053", f"programs of {who} may gain privileges", fix=fix, edits=edits)
    ours = "build" in service.data or is_our_service(image, world.configuration)
    if ours and not any(map(covers_logs, _targets(service))):
        fix = f"add a volume: {who}-logs:{LOG_VOLUME}"
        yield finding(text, at, "FL042", f"the logs of {who} are lost with its container", fix=fix)


def _targets(service: Mapping) -> Iterator[str]:
    for volume in (*service.items("volumes"), *service.items("tmpfs")):
        if isinstance(volume, dict):
            yield str(volume.get("target", ""))
        else:
            parts = str(volume).split(":")
            yield parts[1] if len(parts) > 1 and parts[1].startswith("/") else parts[0]


def _powers(text: Text, service: Mapping, name: str) -> Iterator[Finding]:
    if service.get("privileged") is True:
        yield finding(text, service.at("privileged"), "FL054", f"{shown(name)} is privileged")
    for key in _HOST:
        if service.get(key) == "host":
            yield finding(text, service.at(key), "FL055", f"{shown(name)} has {key}: host")
    for number, added in enumerate(service.items("cap_add")):
        if capability(added) in DANGEROUS_CAPABILITIES:
            message = f"{shown(name)} gets the capability {shown(capability(added))}"
            yield finding(text, service.at("cap_add", number), "FL052", message)
    for number, option in enumerate(service.items("security_opt")):
        if str(option).replace("=", ":") in ("seccomp:unconfined", "apparmor:unconfined", "systempaths:unconfined"):
            yield finding(text, service.at("security_opt", number), "FL057", f"{shown(name)} has {shown(str(option))}")


def _mounts(text: Text, service: Mapping) -> Iterator[Finding]:
    for number, volume in enumerate(service.items("volumes")):
        source = volume.get("source") if isinstance(volume, dict) else str(volume).partition(":")[0]
        if isinstance(source, str) and source.startswith("/") and is_powerful(source):
            # An anonymous volume is a path of the container alone.
            if isinstance(volume, str) and ":" not in volume:
                continue
            yield finding(text, service.at("volumes", number), "FL056", f"{shown(source)} of the host is mounted")


def _secrets(text: Text, service: Mapping) -> Iterator[Finding]:
    for keys in (("environment",), ("build", "args")):
        value = service.get(*keys)
        pairs: list[tuple[str | int, str, object]] = []
        if isinstance(value, dict):
            pairs = [(key, key, each) for key, each in value.items()]
        elif isinstance(value, list):
            split = [(number, str(each).partition("=")) for number, each in enumerate(value)]
            pairs = [(number, name, each) for number, (name, equals, each) in split if equals]
        for place, name, given in pairs:
            if is_secret_name(name) and given is not None and is_secret_value(str(given)):
                yield finding(text, service.at(*keys, place), "FL030", f"{shown(name)} has the value of a secret",
                              fix="give it as one of `secrets:`, or from the environment: ${NAME}")  # fmt: skip
