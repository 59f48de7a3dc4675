"""How the image of a service is run, and what it says of itself: as its base, and over that as the service says."""

from collections.abc import Mapping

from formation.build.labels import NOT_INHERITED, REVISION, SOURCE
from formation.build.origin import Origin
from formation.build.service import ServicePlan
from formation.definition.service_values import ServiceDefinition
from formation.oci.annotations import BASE_DIGEST, BASE_NAME
from formation.oci.config import Execution, HealthCheck, History
from formation.oci.image import Image


def labels_of(plan: ServicePlan, origin: Origin) -> Mapping[str, str]:
    """The labels of the image, sorted by name; its manifest has the same as annotations."""
    inherited = plan.base.config.execution.labels
    kept = {name: value for name, value in inherited.items() if name not in NOT_INHERITED}
    found = {REVISION: origin.revision, SOURCE: origin.source}
    known = {name: value for name, value in found.items() if value is not None}
    base = {BASE_NAME: plan.service.base, BASE_DIGEST: plan.base.digest}
    return dict(sorted({**kept, **base, **known, **dict(plan.service.config.labels)}.items()))


def execution_of(plan: ServicePlan, labels: Mapping[str, str]) -> Execution:
    """How the image is run: environment, volumes, ports and labels are added, the rest is replaced.

    A new entrypoint forgets the base's command, as a Dockerfile's ENTRYPOINT does.
    """
    service, config, below = plan.service, plan.service.config, plan.base.config.execution
    variables = dict(word.partition("=")[::2] for word in below.environment) | dict(config.environment)
    command = below.command if config.entrypoint is None else None
    return Execution(
        environment=tuple(f"{name}={value}" for name, value in variables.items()),
        user=config.user or below.user,
        working_directory=config.working_directory or below.working_directory,
        entrypoint=below.entrypoint if config.entrypoint is None else config.entrypoint,
        command=command if config.command is None else config.command,
        volumes=tuple(sorted({*below.volumes, *config.volumes})),
        exposed_ports=tuple(sorted({*below.exposed_ports, *service.ports})),
        labels=labels,
        stop_signal=config.stop_signal or below.stop_signal,
        health_check=_health_check(service) or below.health_check,
    )


def history_of(base: Image) -> tuple[History, ...]:
    """An entry for each layer of the base, beside those that say that they made none."""
    layers = len(base.layers)
    history = base.config.history
    if sum(not entry.empty_layer for entry in history) == layers:
        return history
    # Podman refuses an image whose history does not fit its layers.
    return (History(created=base.config.created, comment="a layer of the base"),) * layers


def _health_check(service: ServiceDefinition) -> HealthCheck | None:
    check = service.health_check
    if check is None:
        return None
    return HealthCheck(("CMD", *check.command), check.interval, check.timeout, check.start_period, check.retries)
