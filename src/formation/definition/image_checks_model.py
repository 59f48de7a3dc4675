"""The shape of the section `checks` of a formation.yaml: more that `formation verify` looks at."""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from formation.definition import grammar
from formation.definition.data_path import DataPath
from formation.definition.image_checks import Checks, CommandCheck, FileCheck
from formation.definition.model_parts import Command, Entry, EnvironmentName, ImagePath, LabelName, Mode, Owner
from formation.definition.problems import Invalid


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise Invalid(f"{text!r} is not a regular expression: {error}", "Python's re describes them") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class FileCheckEntry(Entry):
    """What must be at a path, or must not be there."""

    path: ImagePath = Field(description="Absolute path in the image; symbolic links are followed.")
    exists: bool = Field(default=True, description="false: nothing is there.")
    type: Literal["file", "directory", "symlink"] | None = Field(
        default=None, description="What is there. With `symlink` the last link is not followed."
    )
    owner: Owner | None = Field(default=None, description="User name, or uid.")
    group: Owner | None = Field(default=None, description="Group name, or gid.")
    mode: Mode | None = Field(default=None, description='Octal digits in quotes: "0644".')
    contains: list[Pattern] = Field(default=[], description="Regular expressions that its content has, line by line.")
    lacks: list[Pattern] = Field(default=[], description="Regular expressions that its content does not have.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> "FileCheckEntry":
        more = sorted(self.model_fields_set - {"path", "exists"})
        if not self.exists and more:
            raise Invalid(f"{self.path} must not be there, and has {', '.join(more)}", "leave out one or the other")
        return self


class CommandCheckEntry(Entry):
    """What a command must do in a container of the image. Only `formation verify --run` starts one."""

    run: Command = Field(description="The command. A single string is split into words; no shell runs.", min_length=1)
    user: Annotated[str, BeforeValidator(grammar.default_user)] | None = Field(
        default=None, description="Who runs it: USER or USER:GROUP; the image's own user when not given."
    )
    exit_code: int = Field(default=0, ge=0, le=255, description="How it ends.")
    output: list[Pattern] = Field(default=[], description="Regular expressions that it prints.")
    no_output: list[Pattern] = Field(default=[], description="Regular expressions that it does not print.")


class ChecksEntry(Entry):
    """What `formation verify` looks at beside what the definition promises anyway."""

    files: list[FileCheckEntry] = Field(default=[], description="Files, directories and links.")
    commands: list[CommandCheckEntry] = Field(default=[], description="Commands that run in a container.")
    in_path: list[str] = Field(default=[], description="Names of commands that are in PATH.")
    libraries: list[str] = Field(default=[], description="Sonames of shared libraries: libssl.so.3.")
    environment: dict[EnvironmentName, Pattern] = Field(
        default={}, description="Variables, each with a regular expression for the whole value."
    )
    labels: dict[LabelName, Pattern] = Field(
        default={}, description="Labels, each with a regular expression for the whole value."
    )


def checks_from(entry: ChecksEntry | None, path: DataPath, place: Callable[[DataPath], str]) -> Checks:
    """The checks that `entry`, at `path` of the document, describes; `place` tells the line of a value."""
    if entry is None:
        return Checks()
    files = tuple(
        FileCheck(
            each.path,
            each.exists,
            each.type,
            each.owner,
            each.group,
            each.mode,
            tuple(each.contains),
            tuple(each.lacks),
            place((*path, "files", index)),
        )
        for index, each in enumerate(entry.files)
    )
    commands = tuple(
        CommandCheck(
            tuple(each.run),
            each.user,
            each.exit_code,
            tuple(each.output),
            tuple(each.no_output),
            place((*path, "commands", index)),
        )
        for index, each in enumerate(entry.commands)
    )
    return Checks(
        files,
        commands,
        tuple(entry.in_path),
        tuple(entry.libraries),
        tuple(entry.environment.items()),
        tuple(entry.labels.items()),
        place(path),
    )
