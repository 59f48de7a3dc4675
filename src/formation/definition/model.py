"""The shape of a formation.yaml: keys, types and what each means.

The JSON Schema is generated from here, so a description is what an editor shows beside the key. Rules for single values
are in `grammar`; rules between values are in `checks`. Everything past this package sees only `values`.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from formation.definition import grammar, path_grammar
from formation.definition.audit_model import AuditEntry
from formation.definition.distribution import DISTRIBUTIONS
from formation.definition.hardening_model import HardeningEntry
from formation.definition.image_checks_model import ChecksEntry
from formation.definition.model_parts import (
    AccountId,
    AccountName,
    Architecture,
    ArchiveWord,
    Command,
    Entry,
    EnvironmentName,
    Glob,
    Home,
    ImagePath,
    LabelName,
    Mode,
    Name,
    Owner,
    PackageName,
    Request,
    Shell,
    TextValue,
    VariantName,
    text_like,
)
from formation.definition.problems import Invalid, nearest


def _distribution(text: str) -> str:
    if text not in DISTRIBUTIONS:
        hint = nearest(text, DISTRIBUTIONS) or f"known are {', '.join(DISTRIBUTIONS)}; others are written as archives"
        raise Invalid(f"{text!r} is not a known distribution", hint)
    return text


class ArchiveEntry(Entry):
    """A package archive in Debian's format."""

    name: Name = Field(description="A short name; the image gets /etc/apt/sources.list.d/NAME.sources.")
    uri: Annotated[str, AfterValidator(grammar.uri), text_like(grammar.URI)] = Field(
        description="Address of the directory that holds dists/ and pool/, http or https."
    )
    suites: list[ArchiveWord] = Field(
        min_length=1,
        description="Suites or codenames: trixie, trixie-updates. From backports and experimental comes only what "
        "is asked for as NAME/SUITE, what that needs of them, and what no other suite has.",
    )
    components: list[ArchiveWord] = Field(
        default=["main"], min_length=1, description="Components; main when not given."
    )
    keys: list[str] = Field(
        min_length=1,
        description="Who may sign it: key sets that ship with Formation (debian-trixie), or key files beside the "
        "definition (keys/private.asc).",
    )
    signed_by: ImagePath | None = Field(
        default=None,
        description="Keyring in the image for apt's Signed-By. Found out for the shipped key sets; for key files, "
        "Formation writes /etc/apt/keyrings/NAME.asc or .gpg.",
    )
    snapshot: Annotated[str, AfterValidator(grammar.uri), text_like(grammar.URI)] | None = Field(
        default=None, description="Address of its snapshot archive, with {timestamp} where 20261121T091544Z belongs."
    )
    check_valid_until: bool = Field(
        default=True, description="Refuse indexes past their Valid-Until. Off for archives that no longer change."
    )


class GroupEntry(Entry):
    """A group to create."""

    name: AccountName = Field(description="Group name.")
    gid: AccountId | None = Field(default=None, description="Fixed id; the next free one when not given.")
    system: bool = Field(default=True, description="Whether the next free id counts down from 999, or up from 1000.")


class UserEntry(Entry):
    """A user to create. The password is locked, and the home directory is only made when `directories` has it."""

    name: AccountName = Field(description="User name.")
    uid: AccountId | None = Field(default=None, description="Fixed id; the next free one when not given.")
    group: AccountName | None = Field(
        default=None,
        description="Primary group. When not given, a group with the user's name, created when nothing declares it.",
    )
    groups: list[AccountName] = Field(default=[], description="Supplementary groups.")
    home: Home | None = Field(
        default=None, description="Home directory; /nonexistent for system users and /home/NAME for others."
    )
    shell: Shell | None = Field(
        default=None, description="Login shell; /usr/sbin/nologin for system users and /bin/sh for others."
    )
    system: bool = Field(default=True, description="Whether the next free id counts down from 999, or up from 1000.")
    comment: Annotated[str, AfterValidator(grammar.comment)] = Field(
        default="", description="The user's full name or purpose."
    )


class DirectoryEntry(Entry):
    """A directory that exists with this owner and mode, whether a package made it or not."""

    path: ImagePath = Field(description="Absolute path in the image.")
    owner: Owner = Field(default="root", description="User name, or uid.")
    group: Owner = Field(default="root", description="Group name, or gid.")
    mode: Mode = Field(
        default=0o755, description='Octal digits in quotes: "0755".', json_schema_extra={"default": "0755"}
    )


class FileEntry(Entry):
    """A file that exists with this content, owner and mode. It has either `content` or `source`."""

    path: ImagePath = Field(description="Absolute path in the image.")
    owner: Owner = Field(default="root", description="User name, or uid.")
    group: Owner = Field(default="root", description="Group name, or gid.")
    mode: Mode = Field(
        default=0o644, description='Octal digits in quotes: "0644".', json_schema_extra={"default": "0644"}
    )
    content: str | None = Field(default=None, description="The text of the file.")
    source: str | None = Field(default=None, description="A file beside or below the definition to copy.")


class LeaveOut(Entry):
    """What packages bring that stays out of the image. dpkg in the image keeps leaving it out."""

    documentation: bool = Field(default=True, description="/usr/share/doc (copyright files stay), info, lintian.")
    manual_pages: bool = Field(default=True, description="Manual pages; their directories (man1 …) stay.")
    locales: bool = Field(default=True, description="Translated messages in /usr/share/locale.")
    paths: list[Glob] = Field(default=[], description="More to leave out: patterns of dpkg's path-exclude.")
    keep: list[Glob] = Field(default=[], description="What stays all the same: patterns of dpkg's path-include.")


class Layers(Entry):
    """How the image is cut into layers."""

    budget: int = Field(default=32, ge=1, le=100, description="How many package layers a variant may add.")
    compression: Literal["gzip", "zstd"] = Field(
        default="gzip", description="gzip is read by every engine; zstd is smaller and faster."
    )


class Identity(Entry):
    """What names an image, and where its packages come from."""

    kind: str
    name: Annotated[str, AfterValidator(grammar.repository), text_like(grammar.REPOSITORY)] = Field(
        description="Repository name without registry or tag: formation/base."
    )
    version: Annotated[str, AfterValidator(grammar.version), text_like(grammar.VERSION)] = Field(
        description="Semantic version, the image's tag: 1.0.0."
    )
    architectures: list[Architecture] = Field(
        default=["amd64"], min_length=1, description="Debian architectures to lock and build."
    )
    distribution: (
        Annotated[str, AfterValidator(_distribution), WithJsonSchema({"enum": list(DISTRIBUTIONS)})] | None
    ) = Field(default=None, description="Brings the archives of a whole distribution, updates and security included.")
    archives: list[ArchiveEntry] = Field(default=[], description="Archives, after those of `distribution`.")
    recommends: bool = Field(default=False, description="Whether recommended packages are installed too.")


class Content(Entry):
    """What the top level of a base, each of its variants and a service have in common."""

    description: Annotated[str, AfterValidator(grammar.one_line)] = Field(
        default="", description="One line about the image."
    )
    packages: list[Request] = Field(
        default=[],
        description="Packages to install: NAME, NAME:ARCHITECTURE, NAME=VERSION or NAME/SUITE; -NAME for one that must "
        "not be installed.",
    )
    groups: list[GroupEntry] = Field(default=[], description="Groups to create, in this order.")
    users: list[UserEntry] = Field(default=[], description="Users to create, in this order.")
    volumes: list[ImagePath] = Field(default=[], description="Directories whose data outlives a container.")
    environment: dict[EnvironmentName, TextValue] = Field(
        default={}, description="Environment of the container's process."
    )
    working_directory: Annotated[
        str | None,
        AfterValidator(lambda text: text and path_grammar.working_directory(text)),
        text_like(path_grammar.PATH),
    ] = Field(default=None, description="Where the container's process starts.")
    user: Annotated[
        str | None, BeforeValidator(lambda value: value and grammar.default_user(value)), text_like("", numbers=True)
    ] = Field(default=None, description="Who the container's process runs as: USER or USER:GROUP; root by default.")
    entrypoint: Command | None = Field(
        default=None, description="The program that always runs. A single string is split into words; no shell runs."
    )
    command: Command | None = Field(
        default=None, description="What runs by default, or the entrypoint's arguments; a list, or a string of words."
    )
    stop_signal: Annotated[str | None, BeforeValidator(grammar.signal), text_like(grammar.SIGNAL)] = Field(
        default=None, description="The signal that asks the process to end; SIGTERM by default."
    )
    labels: dict[LabelName, TextValue] = Field(
        default={},
        description="Labels. The title, version and description labels of OCI are added when not given.",
    )
    checks: ChecksEntry | None = Field(
        default=None, description="What `formation verify` looks at beside what the definition promises anyway."
    )
    audit: AuditEntry | None = Field(default=None, description="What `formation audit` accepts in the image.")


class Section(Content):
    """What the top level of a base and each of its variants have in common."""

    directories: list[DirectoryEntry] = Field(default=[], description="Directories, in this order.")
    files: list[FileEntry] = Field(default=[], description="Files.")


class VariantEntry(Section):
    """What a variant adds to the one that it extends."""

    extends: str = Field(default="runtime", description="The variant that it extends; runtime is the top level.")
    only: list[PackageName] | None = Field(
        default=None,
        min_length=1,
        description="Makes a minimal image, with layers of its own: the libraries and data of these packages of what "
        "it extends, and of those whose libraries they need; its accounts, directories and certificates; no program, "
        "no shell and no package manager.",
    )


class BaseDefinition(Section, Identity):
    """A base image."""

    kind: Literal["base"] = Field(description="A base image.")
    tags: list[Annotated[str, AfterValidator(grammar.tag), text_like(grammar.TAG)]] = Field(
        default=[], description="More tags in the local store, such as trixie-slim; variants take TAG-VARIANT."
    )
    essential: bool = Field(default=True, description="Whether all packages marked Essential are installed.")
    leave_out: LeaveOut = Field(
        default_factory=LeaveOut, description="What packages bring that stays out of the image."
    )
    hardening: HardeningEntry = Field(
        default_factory=HardeningEntry, description="What makes the image hard to misuse; docs/hardening.md."
    )
    layers: Layers = Field(default_factory=Layers, description="How many layers, and how they are compressed.")
    variants: dict[VariantName, VariantEntry] = Field(
        default={}, description="Other images of the same base: formation/base:1.0.0-NAME."
    )
