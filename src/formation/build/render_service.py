"""A service as a Dockerfile and its .dockerignore, for those who build with Docker.

Up to three stages: `builder` compiles on the base's dev variant, `files` gives what is copied its modes, and the last
is the image. `COPY --chmod` would do without the second, but the classic builder does not know it, and a chmod in the
last stage would put every program into two layers.
"""

import json
import shlex
from collections.abc import Iterator

from formation.build.dockerfile import chained, copied, double_quoted, literal, written
from formation.build.dockerfile_steps import (
    HEADER,
    archive_steps,
    assignments,
    certificate_steps,
    config_lines,
    directory_step,
    group_step,
    install_steps,
    key_copies,
    user_steps,
)
from formation.build.labels import NOT_INHERITED, REVISION, SOURCE
from formation.dataclass import replace
from formation.definition.service_files import collect_file, searchable
from formation.definition.service_grammar import duration_text
from formation.definition.service_values import (
    CollectedFile,
    HealthCheck,
    Kind,
    ServiceBuild,
    ServiceDefinition,
    ServiceFile,
)
from formation.definition.values import Directory, ImageConfig
from formation.errors import UsageError
from formation.oci.annotations import BASE_DIGEST, BASE_NAME
from formation.oci.reference import parse_reference

_CONTEXT = "/build"
"""Where the builder stage has the definition's directory."""
_STAGED = "/files"
"""Where the stage `files` has the image's paths."""
_LABEL_ARGUMENTS = {BASE_NAME: "BASE_IMAGE", BASE_DIGEST: "BASE_DIGEST", REVISION: "REVISION", SOURCE: "SOURCE"}
"""Labels whose values only the one who builds knows → the arguments that give them."""
_PULLED_BY_DOCKER = ("docker://", "docker-daemon:")
_OTHER_TRANSPORTS = ("oci:", "oci-archive:", "docker-archive:")


def render_service(service: ServiceDefinition) -> dict[str, str]:
    """The files to write beside the definition, by name: Dockerfile and .dockerignore.

    What the definition copies need not exist, except files with variables, whose text is in the Dockerfile. Raises
    UsageError when Docker cannot take the base from where it is, and DefinitionError as `collect_file`.
    """
    return {"Dockerfile": _dockerfile(service), ".dockerignore": _dockerignore(service)}


def docker_can_build(service: ServiceDefinition) -> bool:
    """Whether `docker build` can start from where the base is: else there is no Dockerfile."""
    return not service.base.startswith(_OTHER_TRANSPORTS)


def docker_base(service: ServiceDefinition) -> str:
    """The base as FROM names it. Raises UsageError for a layout or archive."""
    return _docker_reference(service, service.base)


def builder_image(service: ServiceDefinition, build: ServiceBuild) -> str:
    """The image of the builder stage: what `build` says, or the variant dev of the base."""
    if build.image is not None:
        return _docker_reference(service, build.image)
    reference = parse_reference(docker_base(service), default_tag=None)
    if reference.tag is None or reference.digest is not None:
        place = service.place(("build",))
        raise UsageError(
            f"{place}: the dev variant of {service.base} cannot be named after it",
            hint="write `image:` under `build:`, such as formation/base:1.0.0-dev",
        )
    return f"{reference}-dev"


def _docker_reference(service: ServiceDefinition, name: str) -> str:
    for prefix in _PULLED_BY_DOCKER:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    if name.startswith(_OTHER_TRANSPORTS):
        raise UsageError(
            f"{service.place(('base',))}: docker build cannot start from {name}",
            hint="name an image that Docker has, such as formation/base:1.0.0; `formation build` takes both",
        )
    return name


def _dockerfile(service: ServiceDefinition) -> str:
    arguments = [f"ARG BASE_IMAGE={docker_base(service)}\n"]
    stages = []
    if service.build is not None:
        arguments.append(f"ARG BUILDER_IMAGE={builder_image(service, service.build)}\n")
        stages.append(_builder_stage(service.build, _made(service)))
    staged = [file for file in service.files if file.source is not None and file.variables is None]
    if staged:
        stages.append(_files_stage(staged, service.build))
    return "\n".join([HEADER + "".join(arguments), *stages, _last_stage(service, staged)])


def _builder_stage(build: ServiceBuild, made: list[str]) -> str:
    # Else `make` would take what was compiled on the other machine, perhaps for another glibc than the base's.
    removal = [shlex.join(["rm", "-rf", *made])] if made else []
    return (
        f"FROM ${{BUILDER_IMAGE}} AS builder\nUSER root\nWORKDIR {_CONTEXT}\nCOPY . .\n"
        f"RUN {chained(['set -eux', *removal, build.command])}\n"
    )


def _made(service: ServiceDefinition) -> list[str]:
    """The sources that the build makes, without slashes at their ends."""
    sources = [file.source for file in service.files if file.source is not None and file.source != "./"]
    build = service.build
    return [each.rstrip("/") for each in dict.fromkeys(sources) if build is not None and build.makes(each)]


def _files_stage(files: list[ServiceFile], build: ServiceBuild | None) -> str:
    lines = ["FROM ${BASE_IMAGE} AS files\nUSER root\n"]
    for file in files:
        assert file.source is not None
        made = build is not None and build.makes(file.source)
        source = f"{_CONTEXT}/{file.source}" if made else file.source
        lines.append(copied(source, _STAGED + _target(file), stage="builder" if made else None))
    steps = [step for file in files for step in _mode_steps(file)]
    lines.append(f"RUN {chained(['set -eux', *steps])}\n")
    return "".join(lines)


def _target(file: ServiceFile) -> str:
    return f"{file.path}/" if file.is_directory else file.path


def _mode_steps(file: ServiceFile) -> Iterator[str]:
    path = _STAGED + file.path
    if file.mode is None:
        # As the native build: what someone may execute, everyone may.
        yield shlex.join(["chmod", *(["-R"] if file.is_directory else []), "u=rwX,go=rX", path])
    elif file.is_directory:
        for kind, mode in (("f", file.mode), ("d", searchable(file.mode))):
            yield f"find {shlex.quote(path)} -type {kind} -exec chmod {mode:04o} {{}} +"
    else:
        yield shlex.join(["chmod", f"{file.mode:04o}", path])


def _last_stage(service: ServiceDefinition, staged: list[ServiceFile]) -> str:
    lines = ["FROM ${BASE_IMAGE}\nUSER root\n", *key_copies(service.archives or ())]
    # Apart, so that an edit of a configuration file does not install the packages again.
    for steps in (list(_system_steps(service)), list(_content_steps(service, staged))):
        if steps:
            lines.append(f"RUN {chained(dict.fromkeys(['set -eux', *steps]))}\n")
    for file in staged:
        lines.append(copied(_STAGED + _target(file), _target(file), owner=f"{file.owner}:{file.group}", stage="files"))
    if service.ports:
        lines.append(f"EXPOSE {' '.join(service.ports)}\n")
    lines += _labels(service)
    lines += config_lines(replace(service.config, labels=()), ImageConfig(user="root"), restore_user=False)
    if service.health_check is not None:
        lines.append(_health_check(service.health_check))
    return "".join(lines)


def _labels(service: ServiceDefinition) -> Iterator[str]:
    """Those of the definition and of the arguments. The base's own are emptied: no instruction takes a label away."""
    own = {name: double_quoted(value) for name, value in service.config.labels}
    arguments = {name: argument for name, argument in _LABEL_ARGUMENTS.items() if name not in own}
    for argument in arguments.values():
        yield "ARG BASE_IMAGE\n" if argument == "BASE_IMAGE" else f"ARG {argument}=\n"
    given = {name: f'"${{{argument}}}"' for name, argument in arguments.items()}
    yield from assignments("LABEL", dict(sorted({**dict.fromkeys(NOT_INHERITED, '""'), **given, **own}.items())))


def _system_steps(service: ServiceDefinition) -> Iterator[str]:
    own = service.archives or ()
    if service.archives is not None:
        yield from certificate_steps(own, service.packages)
        yield from archive_steps(own)
    yield from install_steps(service.packages, service.without, own, recommends=service.recommends)
    yield from map(group_step, service.groups)
    for user in service.users:
        yield from user_steps(user)


def _content_steps(service: ServiceDefinition, staged: list[ServiceFile]) -> Iterator[str]:
    for directory in sorted(service.directories, key=lambda each: each.path):
        yield directory_step(directory)
    for file in service.files:
        if file not in staged:
            for entry in collect_file(service, file):
                yield from _entry_steps(entry)
    # COPY would give missing parents the owner of the file.
    parents = {file.path.rpartition("/")[0] for file in staged} - {""}
    if parents:
        yield shlex.join(["mkdir", "-p", *sorted(parents)])


def _entry_steps(entry: CollectedFile) -> Iterator[str]:
    if entry.kind is Kind.DIRECTORY:
        yield directory_step(Directory(entry.path, entry.owner, entry.group, entry.mode))
    elif entry.kind is Kind.SYMLINK:
        yield shlex.join(["ln", "-sfn", entry.target or "", entry.path])
    else:
        yield from written(entry.path, entry.content or b"", owner=f"{entry.owner}:{entry.group}", mode=entry.mode)


def _health_check(check: HealthCheck) -> str:
    options = [
        f"--interval={duration_text(check.interval)}",
        f"--timeout={duration_text(check.timeout)}",
        f"--start-period={duration_text(check.start_period)}",
        f"--retries={check.retries}",
    ]
    return f"HEALTHCHECK {' '.join(options)} \\\n    CMD {json.dumps(check.command, ensure_ascii=False)}\n"


def _dockerignore(service: ServiceDefinition) -> str:
    lines = [".git"]
    if service.build is not None:
        lines += [literal(result.rstrip("/")) for result in service.build.results]
        # A Dockerfile of one's own copies what was compiled before; the builder stage removes it.
        lines += [f"!{literal(source)}" for source in _made(service)]
    for file in service.files:
        inside = literal((file.source or "").removeprefix("./"))
        for pattern in file.ignore:
            keeps = "!" if pattern.startswith("!") else ""
            lines.append(f"{keeps}{inside}{pattern.removeprefix('!').strip().removeprefix('./').lstrip('/')}")
    return HEADER + "".join(f"{line}\n" for line in dict.fromkeys(lines))
