"""Writing a version into a definition: that one line, and nothing else of the file."""

import re
from pathlib import Path

from formation.definition.source import read_source
from formation.errors import DefinitionError, UsageError, system_error
from formation.files import rewrite

_LINE = re.compile(
    rb"(?P<key>(?:\xef\xbb\xbf)?(?P<quoted>[\"']?)version(?P=quoted)[ \t]*:[ \t]+)"
    rb"(?P<quote>[\"']?)(?P<version>[0-9A-Za-z.+-]+)(?P=quote)(?P<rest>[ \t]*(?:[ \t]#[^\r\n]*)?\r?\n?)"
)


def with_version(path: Path, version: str) -> bytes:
    """The content of the definition `path` with `version` in its line; the same bytes when it has it already.

    Raises UsageError when the file cannot be read, DefinitionError with FILE:LINE when its version is not on one line
    of its own, where it can be replaced.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the definition {path}: {error.strerror}") from None
    source = read_source(str(path), content)
    number = source.position(("version",)).line
    lines = content.splitlines(keepends=True)
    # YAML ends lines where bytes.splitlines does, but for a lone CR in the middle of nowhere: the check below sees it.
    match = _LINE.fullmatch(lines[number - 1]) if number <= len(lines) else None
    if match is None:
        message = f"{path}:{number}: the version is not alone on its line, and cannot be replaced there"
        raise DefinitionError(message, hint=f"write it by hand: version: {version}")
    quote = match["quote"]
    lines[number - 1] = match["key"] + quote + version.encode() + quote + match["rest"]
    changed = b"".join(lines)
    expected = {**source.data, "version": version}
    if read_source(str(path), changed).data != expected:
        message = f"{path}:{number}: replacing the version would change something else"
        raise DefinitionError(message, hint=f"write it by hand: version: {version}")
    return changed


def write_version(path: Path, content: bytes) -> None:
    """Replaces the definition `path`, where a link leads to, by `content` in one step; its mode stays.

    Raises FormationError when it cannot be written.
    """
    try:
        rewrite(path, content)
    except OSError as error:
        raise system_error(f"cannot write {path}", error) from error
