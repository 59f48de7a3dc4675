"""Numbers, times and tables as people read them."""

import re
from collections.abc import Sequence

from formation.progress import counted as counted

_COMMAND = r"(?m)(?:^|(?<=[:;] )|(?<=`))formation (?=[a-z-])"


def size_text(size: int) -> str:
    """`size` in bytes with its unit, in powers of 1000 as `docker images` counts: `999 B`, `12.3 kB`, `1.2 GB`."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        # 999.95 would be printed as 1000.0.
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value:.1f} TB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> str:
    """`rows` below `header` in columns, two spaces apart; the columns numbered in `right` are aligned right."""
    cells = [list(map(printable, row)) for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = (
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
    return "".join(f"{line}\n" for line in lines)


def as_typed(text: str, program: str) -> str:
    """A hint whose commands, written `formation …` at its start or after a colon or semicolon, call `program`."""
    return re.sub(_COMMAND, lambda _: f"{program} ", text)


def printable(text: str) -> str:
    """`text` with control characters replaced: what comes from a hostile image must not steer the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)
