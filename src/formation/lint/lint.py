"""Everything that the rules find in a set of files, and the files as `--fix` leaves them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from formation.dataclass import dataclass
from formation.lint.base_rules import World, base_findings, image_findings
from formation.lint.build_context import is_plain
from formation.lint.compose_rules import compose_findings
from formation.lint.dockerfile import Dockerfile, read_dockerfile
from formation.lint.dockerfile_rules import file_findings, service_findings
from formation.lint.dockerfile_syntax import LIMIT, parse_syntax
from formation.lint.findings import Finding, finding, sort_findings
from formation.lint.ignores import Ignore, dockerfile_ignores, without_ignored, yaml_ignores
from formation.lint.kubernetes_rules import is_manifest, kubernetes_findings
from formation.lint.package_rules import package_findings
from formation.lint.secrets import secret_in
from formation.lint.targets import Target, base_name
from formation.lint.text import Text, decode, edited, first_wrong_byte
from formation.lint.yaml_documents import read_documents

_OF_BASES = frozenset({"FL001", "FL004", "FL020", "FL021", "FL024", "FL030", "FL031", "FL040"})
"""Rules that hold for the Dockerfile of a base too; the others are about services."""
_ROUNDS = 3
"""How often `--fix` looks again: what one edit moves, the next finds."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in one file."""

    findings: tuple[Finding, ...]
    """By place."""
    ignored: int
    """How many findings were excepted, by comments or the configuration."""


def lint_target(target: Target, world: World, others: Iterable[Finding] = ()) -> Result:
    """What the rules find in `target`, with `others`, hadolint's findings about it. Raises nothing for its content."""
    text = decode(target.shown, target.content[:LIMIT], yaml=target.kind != "Dockerfile")
    if len(target.content) > LIMIT:
        return Result((finding(text, 0, "FL001", f"the file is larger than {LIMIT >> 20} MiB"),), 0)
    if b"\0" in target.content:
        return Result((finding(text, 0, "FL001", "the file is not text"),), 0)
    found, ignores = _dockerfile(text, target, world) if target.kind == "Dockerfile" else _yaml(text, target, world)
    kept, excepted = without_ignored(text, [*found, *others], ignores)
    on = [each for each in kept if each.rule not in world.configuration.ignore]
    return Result(sort_findings(on), excepted + len(kept) - len(on))


def fixed(target: Target, world: World) -> bytes:
    """The content of `target` with every safe fix; the same bytes when there is none."""
    content = target.content
    for _ in range(_ROUNDS):
        result = lint_target(Target(target.path, target.shown, target.kind, content), world)
        edits = [edit for each in result.findings for edit in each.edits]
        if not edits:
            break
        # YAML's text is without its byte order mark.
        text = decode(target.shown, content, yaml=target.kind != "Dockerfile")
        mark = b"\xef\xbb\xbf" if text.yaml and content.startswith(b"\xef\xbb\xbf") else b""
        content = mark + edited(text.content, edits).encode("utf-8", "surrogateescape")
    return content


def _dockerfile(text: Text, target: Target, world: World) -> tuple[Sequence[Finding], Sequence[Ignore]]:
    syntax = parse_syntax(text)
    file = read_dockerfile(syntax)
    found = [finding(text, offset, "FL001", reason) for offset, reason in file.problems]
    if (wrong := first_wrong_byte(text)) is not None:
        byte = ord(text.content[wrong]) - 0xDC00
        found.append(finding(text, wrong, "FL001", f"byte {byte:#04x} is not UTF-8"))
    directory = target.path.parent
    found += file_findings(text, file, lambda source: is_plain(directory, source))
    found += package_findings(text, file)
    if base_name(directory) is None:
        found += base_findings(text, file, world)
        found += service_findings(text, file)
    else:
        found += _pinned_sources(text, file, world)
        found = [each for each in found if each.rule in _OF_BASES]
    return found, dockerfile_ignores(syntax)


def _pinned_sources(text: Text, file: Dockerfile, world: World) -> list[Finding]:
    sources = [(stage.source.value.offset(0), stage.image) for stage in file.stages if stage.parent is None]
    return [each for at, image in sources if image for each in image_findings(text, text.position(at), image, world)]


def _yaml(text: Text, target: Target, world: World) -> tuple[Sequence[Finding], Sequence[Ignore]]:
    kubernetes = target.kind == "Kubernetes"
    documents, found = read_documents(text, is_manifest if kubernetes else bool)

    def is_base(context: str) -> bool:
        directory = Path(target.path.parent, context) if "\0" not in context else target.path
        return base_name(directory) is not None

    for document in documents:
        found += (
            kubernetes_findings(text, document, world)
            if kubernetes
            else compose_findings(text, document, world, is_base)
        )
    lines = {each.line for each in found if each.rule == "FL030"}
    for number in range(1, len(text.starts) + 1):
        line = text.line(number)
        if number not in lines and (secret := secret_in(line)):
            offset = text.starts[number - 1] + secret[0]
            found.append(finding(text, offset, "FL030", f"the file holds {secret[1]}"))
    return found, yaml_ignores(text)
