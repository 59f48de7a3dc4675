"""The words of a Dockerfile: how steps, texts and files are written so that every builder reads them back unchanged."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

_SAFE_LINE = re.compile(r"[ -~\u00a1-\ud7ff\ue000-\U0010ffff]*")


def chained(steps: Iterable[str]) -> str:
    """Shell commands as one RUN: each in a line of its own, ending at the first that fails under `set -e`."""
    return "; \\\n    ".join(steps)


def double_quoted(text: str) -> str:
    """`text` for ENV and LABEL, which expand variables inside double quotes."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'


def literal(path: str) -> str:
    """`path` as a pattern of Go's filepath.Match that stands for it alone, as COPY and .dockerignore take it."""
    return re.sub(r"([\\*?\[])", r"\\\1", path)


def copied(source: str, target: str, *, owner: str | None = None, stage: str | None = None) -> str:
    """A COPY of the file `source`, relative to the context, or absolute in another `stage`."""
    option = f"--from={stage} " if stage else ""
    option += f"--chown={owner} " if owner and owner != "root:root" else ""
    return f"COPY {option}{json.dumps([literal(source), target], ensure_ascii=False)}\n"


def written(path: str, content: bytes, *, owner: str = "", mode: int = 0o644) -> Iterator[str]:
    """The shell commands that make the file `path` with `content`, and its missing parents.

    `owner` is USER:GROUP. Without it the file is root's, with the group of its directory where that is setgid.
    """
    yield shlex.join(["mkdir", "-p", str(PurePosixPath(path).parent)])
    yield f"{_printf(content)} > {shlex.quote(path)}"
    if owner:
        yield shlex.join(["chown", owner, path])
    yield shlex.join(["chmod", f"{mode:04o}", path])


def _printf(content: bytes) -> str:
    """A printf(1) whose output is `content`: its lines where they are plain text, else one word with escapes.

    BuildKit looks for here-documents in a RUN before the shell sees its quotes, so `<<` counts as not plain.
    """
    text = content.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    if lines[-1] == "" and len(lines) > 1 and "<<" not in text and all(map(_SAFE_LINE.fullmatch, lines)):
        return " \\\n        ".join(["printf '%s\\n'", *(shlex.quote(line) for line in lines[:-1])])
    escaped = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'<" else f"\\0{byte:03o}" for byte in content
    )
    return f"printf %b '{escaped}'"
