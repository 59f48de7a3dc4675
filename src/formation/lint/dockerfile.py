"""A Dockerfile as stages: what each stands on, and what the last one, the image, takes over from which."""

import re
import shlex
from collections.abc import Iterator, Mapping

from formation.dataclass import dataclass
from formation.lint.dockerfile_syntax import Instruction, Spliced, Syntax
from formation.lint.variables import expanded

_FROM = re.compile(r"(\S+)(?:\s+[Aa][Ss]\s+(\S+))?\s*\Z")
_WORD = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\])+", re.DOTALL)
_PAIR = re.compile(r"([^\s=]+)=((?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\])*)", re.DOTALL)
# BuildKit sets these; what they are depends on who builds.
_PREDEFINED = ("TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "BUILDPLATFORM", "BUILDOS", "BUILDARCH")


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next."""

    name: str
    """In lower case; empty when it has none."""
    source: Instruction
    """Its FROM."""
    image: str | None
    """What it stands on, variables replaced; None: the file alone does not say."""
    parent: int | None
    """The stage that it stands on; None: an image."""
    instructions: tuple[Instruction, ...]
    variables: Mapping[str, str | None]
    """ARG and ENV at its end; None: set by who builds."""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The stages, in their order, and what is wrong with them."""

    stages: tuple[Stage, ...]
    problems: tuple[tuple[int, str], ...]
    escape: str

    @property
    def shipped(self) -> tuple[Stage, ...]:
        """The last stage and those it stands on, the one on an image first; empty when there is no stage."""
        chain: list[Stage] = []
        number: int | None = len(self.stages) - 1 if self.stages else None
        while number is not None:
            chain.append(self.stages[number])
            number = self.stages[number].parent
        return tuple(reversed(chain))

    def last(self, keyword: str) -> tuple[Stage, Instruction] | None:
        """The instruction `keyword` that decides for the image; None when no stage that is shipped has one."""
        for stage in reversed(self.shipped):
            for instruction in reversed(stage.instructions):
                if instruction.keyword == keyword and not instruction.onbuild:
                    return stage, instruction
        return None

    def is_stage(self, name: str) -> bool:
        """Whether `COPY --from=name` means a stage."""
        numbered = name.isdecimal() and len(name) < 6 and int(name) < len(self.stages)
        return numbered or name.lower() in {stage.name for stage in self.stages if stage.name}


def read_dockerfile(syntax: Syntax) -> Dockerfile:
    """The stages that `syntax` describes."""
    problems = list(syntax.problems)
    arguments: dict[str, str | None] = dict.fromkeys(_PREDEFINED)
    groups: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in syntax.instructions:
        if instruction.keyword == "FROM":
            groups.append((instruction, []))
        elif groups:
            groups[-1][1].append(instruction)
        elif instruction.keyword == "ARG":
            _set_arguments(instruction, arguments, {}, syntax.escape)
        else:
            problems.append((instruction.start, f"{instruction.keyword} before the first FROM"))
    if not groups:
        problems.append((0, "there is no FROM"))
    stages: list[Stage] = []
    names: dict[str, int] = {}
    for source, instructions in groups:
        stage = _stage(source, instructions, stages, names, arguments, syntax.escape, problems)
        if stage.name:
            names[stage.name] = len(stages)
        stages.append(stage)
    return Dockerfile(tuple(stages), tuple(problems), syntax.escape)


def _stage(
    source: Instruction,
    instructions: list[Instruction],
    before: list[Stage],
    names: Mapping[str, int],
    arguments: Mapping[str, str | None],
    escape: str,
    problems: list[tuple[int, str]],
) -> Stage:
    match = _FROM.match(source.value.text)
    if match is None and source.value.text:
        problems.append((source.value.offset(0), "FROM is followed by an image, and AS and a name"))
    image = expanded(match[1], arguments, escape) if match else None
    parent = names.get((image or "").lower())
    variables: dict[str, str | None] = dict(before[parent].variables) if parent is not None else {}
    for instruction in instructions:
        if instruction.keyword == "ARG":
            _set_arguments(instruction, variables, arguments, escape)
        elif instruction.keyword == "ENV":
            for name, value, _ in pairs(instruction.value):
                variables[name] = expanded(value, variables, escape)
    name = (match[2] or "").lower() if match else ""
    return Stage(name, source, image, parent, tuple(instructions), variables)


def _set_arguments(
    instruction: Instruction, variables: dict[str, str | None], outer: Mapping[str, str | None], escape: str
) -> None:
    for name, value, _ in arguments_of(instruction):
        variables[name] = outer.get(name) if value is None else expanded(value, variables, escape)


def arguments_of(instruction: Instruction) -> Iterator[tuple[str, str | None, int]]:
    """Name, default (None: none) and offset of each argument of an ARG."""
    for match in _WORD.finditer(instruction.value.text):
        name, equals, value = match[0].partition("=")
        yield name, value if equals else None, instruction.value.offset(match.start())


def pairs(value: Spliced) -> Iterator[tuple[str, str, int]]:
    """Name, value with its quotes, and offset of what an ENV or LABEL sets; both forms."""
    if not re.match(r"[^\s=]+=", value.text):
        name, _, rest = value.text.partition(" ")
        if name:
            yield name, rest.strip(), value.offset(0)
        return
    for match in _PAIR.finditer(value.text):
        yield match[1], match[2], value.offset(match.start())


def paths_of(instruction: Instruction) -> tuple[tuple[str, ...], str]:
    """Sources and destination of a COPY or ADD; sources that are heredocs are left out."""
    words = instruction.words
    if words is None:
        try:
            words = tuple(shlex.split(instruction.value.text))
        except ValueError:
            words = tuple(instruction.value.text.split())
    if len(words) < 2:
        return (), ""
    return tuple(word for word in words[:-1] if not word.startswith("<<")), words[-1]
