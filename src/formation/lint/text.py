"""The text of a file that is looked at: places in it, and edits of it that leave every other byte as it is."""

import bisect
import re
from collections.abc import Iterable

from formation.dataclass import dataclass, field
from formation.definition.source import Position

# What libyaml counts as the end of a line. Docker ends lines at \n alone; a \r before it belongs to the end either way.
_YAML_LINE = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_LINE = re.compile(r"\n")
_SHOWN = 100


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """A piece of a text that another takes the place of."""

    start: int
    """Characters before it."""
    end: int
    """Equal to `start`: something is put in, nothing taken away."""
    replacement: str


@dataclass(frozen=True, slots=True)
class Text:
    """A file's content. Bytes that are not UTF-8 are surrogates, so that what is written back has them too."""

    path: str
    """As messages name it."""
    content: str
    yaml: bool = False
    """Whether lines end as YAML says."""
    starts: tuple[int, ...] = field(init=False, repr=False)
    """Where each line begins."""

    def __post_init__(self) -> None:
        ends = (_YAML_LINE if self.yaml else _LINE).finditer(self.content)
        object.__setattr__(self, "starts", (0, *(match.end() for match in ends)))

    @property
    def line_end(self) -> str:
        """What ends a line of it: that of its first line."""
        return "\r\n" if "\r\n" in self.content[: self.content.find("\n") + 1] else "\n"

    def position(self, offset: int) -> Position:
        """The line and column of the character `offset`."""
        line = bisect.bisect_right(self.starts, offset)
        return Position(line, offset - self.starts[line - 1] + 1)

    def offset(self, position: Position) -> int:
        """How many characters are before `position`, which is in the text."""
        return self.starts[min(position.line, len(self.starts)) - 1] + position.column - 1

    def line(self, number: int) -> str:
        """The line `number`, from 1, without its end."""
        end = self.starts[number] if number < len(self.starts) else len(self.content)
        return self.content[self.starts[number - 1] : end].rstrip("\r\n\x85\u2028\u2029")


def decode(path: str, content: bytes, *, yaml: bool = False) -> Text:
    """`content` as text."""
    text = content.decode("utf-8", errors="surrogateescape")
    return Text(path, text.removeprefix("\ufeff") if yaml else text, yaml)


def first_wrong_byte(text: Text) -> int | None:
    """The offset of the first byte that is not UTF-8; None when there is none."""
    wrong = re.search(r"[\udc80-\udcff]", text.content)
    return wrong.start() if wrong else None


def edited(content: str, edits: Iterable[Edit]) -> str:
    """`content` with `edits`. Of two that overlap the first is made; several may be put in at one place."""
    pieces: list[str] = []
    done = 0
    for edit in sorted(dict.fromkeys(edits)):
        if edit.start < done:
            continue
        pieces += [content[done : edit.start], edit.replacement]
        done = edit.end
    return "".join([*pieces, content[done:]])


def shown(text: str) -> str:
    """`text` for a message: one line, without what steers a terminal, and not long."""
    clean = "".join(character if character.isprintable() else "�" for character in text[: _SHOWN + 1])
    return clean[:_SHOWN] + "…" if len(clean) > _SHOWN else clean
