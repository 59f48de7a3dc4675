"""The shape of a formation.yaml of kind `service`: what it has beside the keys that a base has too."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from formation.definition import grammar, service_grammar
from formation.definition.model import ArchiveEntry, Content, DirectoryEntry, FileEntry, Identity
from formation.definition.model_parts import Command, Entry, Mode, Owner, TextValue, text_like

BaseImage = Annotated[str, AfterValidator(service_grammar.base_image)]
Source = Annotated[str, AfterValidator(service_grammar.source), text_like(service_grammar.SOURCE)]
VariableName = Annotated[str, AfterValidator(service_grammar.variable_name), text_like(service_grammar.VARIABLE)]
Port = Annotated[
    str,
    BeforeValidator(service_grammar.port),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": service_grammar.PORT},
                {"type": "integer", "minimum": 1, "maximum": 65535},
            ]
        }
    ),
]
IgnorePattern = Annotated[str, AfterValidator(service_grammar.ignore_pattern)]
Duration = Annotated[
    int,
    BeforeValidator(service_grammar.duration),
    WithJsonSchema({"type": "string", "pattern": service_grammar.DURATION}),
]
Line = Annotated[str, AfterValidator(grammar.one_line)]


def _said_elsewhere(schema: dict[str, Any]) -> None:
    """Drops a default that only stands in for what another key says."""
    schema.pop("default")


def _duration(text: str, description: str) -> Any:
    return Field(default=service_grammar.duration(text), description=description, json_schema_extra={"default": text})


class ServiceDirectoryEntry(DirectoryEntry):
    """A directory that exists with this owner and mode, whether the base has it or not."""

    owner: Owner = Field(
        default="",
        description="User name, or uid; the service's user when not given.",
        json_schema_extra=_said_elsewhere,
    )
    group: Owner = Field(
        default="", description="Group name, or gid; the owner's when not given.", json_schema_extra=_said_elsewhere
    )


class ServiceFileEntry(FileEntry):
    """A file, or all files of a directory. It has either `content` or `source`."""

    mode: Mode = Field(
        default=0o644,
        description='Octal digits in quotes: "0640". When not given, 0755 for what is executable here and 0644 '
        "for the rest. Directories can be searched by whoever may read their files.",
        json_schema_extra=_said_elsewhere,
    )
    source: Source | None = Field(
        default=None,
        description="What to copy, relative to the definition's directory: target/release/form-dns; a directory ends "
        "in a slash: config/. It is needed when the image is built.",
    )
    ignore: list[IgnorePattern] = Field(
        default=[], description="What of a source directory stays out: patterns of .dockerignore, relative to it."
    )
    variables: dict[VariableName, TextValue] | None = Field(
        default=None,
        description="Makes ${name} in the text stand for the value of `name` here, or in the service's `variables`. An "
        "empty mapping {} takes the service's only. $${ is a literal ${.",
    )


class HealthCheckEntry(Entry):
    """How an engine finds out whether the service works."""

    command: Command = Field(
        description="Exit code 0 means healthy. A single string is split into words; no shell runs.", min_length=1
    )
    interval: Duration = _duration("30s", "Time between two checks.")
    timeout: Duration = _duration("5s", "A check that takes longer has failed.")
    start_period: Duration = _duration("10s", "Failures do not count for so long after the start.")
    retries: int = Field(default=3, ge=1, le=100, description="So many failures in a row make it unhealthy.")


class BuildEntry(Entry):
    """How `docker build` makes the files that are not in the repository: a stage of the Dockerfile before the image."""

    command: Annotated[Line, Field(min_length=1)] = Field(
        default="make", description="A shell command that runs in a copy of the definition's directory."
    )
    image: BaseImage | None = Field(
        default=None, description="The image it runs in; when not given, the variant `dev` of the base."
    )
    results: list[Source] = Field(
        default=["target/"],
        min_length=1,
        description="What it makes; a directory ends in a slash. Sources of `files` there come from this stage.",
    )


class ServiceModel(Content, Identity):
    """A service: an image that stands on a base."""

    kind: Literal["service"] = Field(description="A service on a base image.")
    base: BaseImage = Field(
        description="The image below: formation/base:1.0.0 in the local store, oci:DIR[:TAG], docker-archive:FILE or "
        "docker://REGISTRY/NAME:TAG."
    )
    archives: list[ArchiveEntry] = Field(
        default=[],
        description="Archives, after those of `distribution`; without either, those that the base was made from.",
    )
    user: Annotated[str, BeforeValidator(grammar.default_user), text_like("", numbers=True)] = Field(
        default="formation", description="Who the service runs as: USER or USER:GROUP."
    )
    build: BuildEntry | None = Field(
        default=None, description="How `docker build` makes what `files` takes from outside the repository."
    )
    directories: list[ServiceDirectoryEntry] = Field(default=[], description="Directories, in this order.")
    files: list[ServiceFileEntry] = Field(default=[], description="Programs, scripts and configuration files.")
    variables: dict[VariableName, TextValue] = Field(
        default={}, description="Values for ${name} in files that have `variables`."
    )
    ports: list[Port] = Field(default=[], description="Ports that the service listens on: 8080, 53/udp; tcp if unsaid.")
    health_check: HealthCheckEntry | None = Field(default=None, description="How an engine tells whether it works.")
