"""A definition as a Dockerfile and a compose file, for those who build with Docker.

The image keeps the same contract as the native build's: packages, accounts, directories, files, and config. It is not
the same bytes: Docker's clock and the live archive are in it.

The Dockerfile keeps to what the classic builder knows as well as BuildKit, because docker-compose 1.29 uses the former:
no `COPY --chmod`, no here-documents.
"""

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from formation.build.dockerfile import chained, copied, literal, written
from formation.build.dockerfile_steps import (
    HEADER,
    archive_steps,
    certificate_steps,
    config_lines,
    directory_step,
    group_step,
    hardening_steps,
    install_steps,
    key_copies,
    user_steps,
)
from formation.definition.hardening import SAFE_APT, SAFE_APT_CHOICES
from formation.definition.image_files import APT_CHOICES, DPKG_FILTERS, apt_choices, dpkg_filters, key_file
from formation.definition.values import RUNTIME, Definition, File, ImageConfig, Variant
from formation.errors import UsageError

_STARTING_IMAGES = {"debian": "debian:{release}-slim", "ubuntu": "ubuntu:{release}"}


def render_base(definition: Definition) -> dict[str, str]:
    """The files to write beside the definition, by name: Dockerfile, .dockerignore and docker-compose.yml.

    Raises UsageError as `render_dockerfile`.
    """
    return {
        "Dockerfile": render_dockerfile(definition),
        ".dockerignore": render_dockerignore(definition),
        "docker-compose.yml": render_compose(definition),
    }


def render_dockerfile(definition: Definition) -> str:
    """A Dockerfile with a stage for each variant; `docker build` without --target gives `runtime`.

    Raises UsageError when the definition's first archive is of no distribution that has a starting image, or a file's
    content is not text.
    """
    stages = [_stage(definition, variant) for variant in _buildable(definition)]
    head = f"{HEADER}ARG BASE_IMAGE={starting_image(definition)}\n"
    # The last stage is what is built by default.
    default = [f"FROM {RUNTIME}\n"] if len(stages) > 1 else []
    return "\n".join([head, *stages, *default])


def render_dockerignore(definition: Definition) -> str:
    """A .dockerignore that lets Docker have what the Dockerfile copies, and nothing else: `formation vendor` puts
    hundreds of megabytes beside the definition.
    """
    keys = [key_file(archive) for archive in definition.archives]
    sources = [_source(definition, file) for variant in _buildable(definition) for file in variant.files if file.source]
    copies = sorted({str(PurePosixPath(path)) for path in (*keys, *sources) if path is not None})
    return HEADER + "".join(f"{line}\n" for line in ("*", *(f"!{literal(path)}" for path in copies)))


def render_compose(definition: Definition) -> str:
    """A compose file with a service for each variant, for docker-compose 1.27 and later and for Compose v2.

    The images are tagged `latest`: what Docker built today never takes a version's tag.
    """
    blocks = [f"{HEADER}services:\n"]
    for variant in _buildable(definition):
        suffix = "" if variant.name == RUNTIME else f"-{variant.name}"
        # Compose names containers after services, and those know neither slashes nor dots.
        service = definition.name.rpartition("/")[2].replace(".", "-") + suffix.replace(".", "-")
        blocks.append(
            f"  {service}:\n"
            f"    image: {definition.name}:latest{suffix}\n"
            f"    build:\n"
            f"      context: .\n"
            f"      target: {variant.name}\n"
            f"      args:\n"
            f"        BASE_IMAGE: ${{BASE_IMAGE:-{starting_image(definition)}}}\n"
        )
    return "".join(blocks)


def _buildable(definition: Definition) -> tuple[Variant, ...]:
    """The variants that a Dockerfile can make: layers of Docker's only ever grow, so none with `only`."""
    return tuple(variant for variant in definition.variants if variant.only is None)


def starting_image(definition: Definition) -> str:
    """The official image of the distribution that the first archive is of: debian:trixie-slim."""
    archive = definition.archives[0]
    family = archive.keys[0].partition("-")[0]
    if family not in _STARTING_IMAGES:
        raise UsageError(
            f"{definition.shown_path}: no official image is known to start from with the archive {archive.name!r}",
            hint="name Debian's or Ubuntu's archive first",
        )
    return _STARTING_IMAGES[family].format(release=archive.suites[0])


def _stage(definition: Definition, variant: Variant) -> str:
    above = ImageConfig()
    if variant.extends is not None:
        above = next(each.config for each in definition.variants if each.name == variant.extends)
    start = "${BASE_IMAGE}" if variant.extends is None else variant.extends
    lines = [f"FROM {start} AS {variant.name}\n"]
    root = above.user in (None, "root", "0")
    if not root:
        lines.append("USER root\n")
    if variant.extends is None:
        lines += key_copies(definition.archives)
    steps = [*_apt_setup(definition, variant), *_installs(definition, variant)]
    steps += [group_step(group) for group in variant.groups]
    steps += [step for user in variant.users for step in user_steps(user)]
    # As in the native build: a directory comes after the one that holds it.
    for directory in sorted(variant.directories, key=lambda each: each.path):
        steps.append(directory_step(directory))
    for file in variant.files:
        if file.content is not None:
            steps += written(file.path, file.content, owner=f"{file.owner}:{file.group}", mode=file.mode)
    if steps:
        steps += hardening_steps(definition.hardening, definition.lineage(variant.name))
        # One `mkdir -p` for all files of a directory.
        lines.append(f"RUN {chained(dict.fromkeys(['set -eux', *steps]))}\n")
    lines += _source_copies(definition, variant)
    lines += config_lines(variant.config, above, restore_user=not root)
    return "".join(lines)


def _apt_setup(definition: Definition, variant: Variant) -> Iterator[str]:
    if variant.extends is not None:
        # What came below for the certificates alone is gone.
        yield from certificate_steps(definition.archives, variant.packages)
        return
    filters = dpkg_filters(definition)
    if filters:
        yield from written(DPKG_FILTERS, filters.encode())
    yield from written(APT_CHOICES, apt_choices(definition).encode())
    if definition.hardening.package_manager:
        yield from written(SAFE_APT_CHOICES, SAFE_APT.encode())
    yield from certificate_steps(definition.archives, variant.packages)
    yield from archive_steps(definition.archives)


def _installs(definition: Definition, variant: Variant) -> Iterator[str]:
    left_out = [name for each in definition.lineage(variant.name) for name in each.without]
    # The starting image is as old as its last release; the native build has every fix.
    upgrade = variant.extends is None
    return install_steps(
        variant.packages, left_out, definition.archives, recommends=definition.recommends, upgrade=upgrade
    )


def _source(definition: Definition, file: File) -> str:
    """The file's source relative to the definition's directory."""
    assert file.source is not None
    return file.source.relative_to(definition.path.parent.resolve()).as_posix()


def _source_copies(definition: Definition, variant: Variant) -> Iterator[str]:
    modes = []
    for file in variant.files:
        if file.source is not None:
            yield copied(_source(definition, file), file.path, owner=f"{file.owner}:{file.group}")
            modes.append(shlex.join(["chmod", f"{file.mode:04o}", file.path]))
    if modes:
        yield f"RUN {chained(['set -eux', *modes])}\n"
