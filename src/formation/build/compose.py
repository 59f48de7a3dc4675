"""A compose file that runs services as production does, for docker-compose 1.27 and later, Compose v2 and Podman's.

Every service is without root, capabilities and new privileges on a root file system that it cannot write to. What it
writes goes to volumes, which outlive it, and to /tmp, which does not.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from formation.build.dockerfile_steps import HEADER
from formation.build.render_service import docker_can_build
from formation.dataclass import dataclass
from formation.definition.service_grammar import duration_text
from formation.definition.service_values import HealthCheck, ServiceDefinition
from formation.errors import UsageError

LOG_VOLUME = "/var/log/formation"
"""A volume of every base here, and so of every service."""
_FIRST_UNPRIVILEGED = 1024
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class _HostPort:
    """Where a port is published unless the environment says another."""

    number: int
    holder: str | None
    """The service that has the container's number on the host; None: this one."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A service in a compose file."""

    service: ServiceDefinition
    context: str
    """The directory of its Dockerfile, relative to the compose file, with slashes."""


def render_services(composed: Sequence[Composed]) -> str:
    """The compose file, services in the order given. Raises UsageError when two have one name."""
    _check(composed)
    hosts = _host_ports([each.service for each in composed])
    blocks = [f"{HEADER}services:\n"]
    volumes: list[str] = []
    for each in composed:
        named = _volumes(each.service, set(volumes))
        blocks += _block(each, named, hosts)
        volumes += named
    blocks.append("volumes:\n")
    blocks += [f"  {volume}: {{}}\n" for volume in volumes]
    return "".join(blocks)


def compose_name(service: ServiceDefinition) -> str:
    """The name of the service in the file: containers are named after it, and those know neither slashes nor dots."""
    return service.short_name.replace(".", "-")


def _check(composed: Sequence[Composed]) -> None:
    names: dict[str, ServiceDefinition] = {}
    for each in composed:
        service, name = each.service, compose_name(each.service)
        if name in names:
            raise UsageError(f"{names[name].shown_path} and {service.shown_path} are both the service {name!r}")
        names[name] = service


def _host_ports(services: Sequence[ServiceDefinition]) -> dict[tuple[str, int], _HostPort]:
    """Name of a service and number of a port in its container → where it is published on the host.

    On the same number for the first that has it; for the rest on the next one that nobody wants.
    """
    wanted = {port for service in services for port in service.ports}
    taken: dict[str, str] = {}
    hosts: dict[tuple[str, int], _HostPort] = {}
    for service in services:
        name = compose_name(service)
        protocols: dict[int, list[str]] = {}
        for port in service.ports:
            protocols.setdefault(_number(port), []).append(port.partition("/")[2])
        for number, these in protocols.items():
            others = [taken[port] for protocol in these if (port := f"{number}/{protocol}") in taken]
            host = number
            while others and any(f"{host}/{each}" in taken or f"{host}/{each}" in wanted for each in these):
                # A variable is for all protocols of a number.
                host = host + 1 if host < _LAST_PORT else _FIRST_UNPRIVILEGED
            taken.update({f"{host}/{each}": name for each in these})
            hosts[name, number] = _HostPort(host, others[0] if others else None)
    return hosts


def _volumes(service: ServiceDefinition, taken: set[str]) -> dict[str, str]:
    """The name of each volume → its path in the container."""
    named: dict[str, str] = {}
    for path in dict.fromkeys([LOG_VOLUME, *service.config.volumes]):
        name = compose_name(service) + "-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", path.strip("/"))
        while name in named or name in taken:
            name += "-2"
        named[name] = path
    return named


def _block(composed: Composed, volumes: dict[str, str], hosts: dict[tuple[str, int], _HostPort]) -> Iterator[str]:
    service, name = composed.service, compose_name(composed.service)
    yield f"  {name}:\n"
    yield f"    image: {service.name}:{service.version}\n"
    if docker_can_build(service):
        yield f"    build:\n      context: {_quoted(composed.context)}\n"
    yield "    read_only: true\n"
    yield "    cap_drop: [ALL]\n"
    yield '    security_opt: ["no-new-privileges:true"]\n'
    if any(_number(port) < _FIRST_UNPRIVILEGED for port in service.ports):
        # Inside the container's own network only; capabilities stay dropped.
        yield '    sysctls:\n      net.ipv4.ip_unprivileged_port_start: "0"\n'
    yield "    tmpfs: [/tmp]\n"
    yield "    volumes:\n"
    yield from (f"      - {_quoted(f'{volume}:{path}')}\n" for volume, path in volumes.items())
    if service.ports:
        yield "    ports:\n"
        yield from (f"      - {_published(name, port, hosts[name, _number(port)])}\n" for port in service.ports)
    if service.health_check is not None:
        yield from _health_check(service.health_check)
    yield "    stop_grace_period: 10s\n"
    yield "    restart: unless-stopped\n"


def _published(name: str, port: str, host: _HostPort) -> str:
    """The environment may say another port on the host: FORM_DNS_PORT_53."""
    variable = f"{re.sub('[^A-Z0-9]', '_', name.upper())}_PORT_{_number(port)}"
    why = "" if host.holder is None else f"  # {_number(port)} of the host is {host.holder}'s"
    return f'"${{{variable}:-{host.number}}}:{port}"{why}'


def _health_check(check: HealthCheck) -> Iterator[str]:
    # The image says it as well; but images in OCI's format, which Podman makes, cannot.
    yield "    healthcheck:\n"
    yield f"      test: {_quoted(['CMD', *check.command])}\n"
    yield f"      interval: {duration_text(check.interval)}\n"
    yield f"      timeout: {duration_text(check.timeout)}\n"
    yield f"      start_period: {duration_text(check.start_period)}\n"
    yield f"      retries: {check.retries}\n"


def _number(port: str) -> int:
    return int(port.partition("/")[0])


def _quoted(value: Any) -> str:
    """JSON, which is YAML too; compose files expand variables everywhere."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")
