"""A difference as text, as Markdown and as data."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from formation.cli.diff_sections import Item, sections, signed_size
from formation.cli.text import counted, printable, size_text
from formation.oci.media_types import LAYERS
from formation.release.changelogs import PackageNews
from formation.release.difference import Difference
from formation.release.markdown import escaped
from formation.release.packages import PackageState
from formation.release.snapshot import Snapshot

if TYPE_CHECKING:
    from formation.oci.image import Image

_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "~": "\x1b[33m", " ": ""}
_BOLD, _FAINT, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_WORDS = {"+": "added: ", "-": "removed: ", "~": "", " ": ""}


def as_text(difference: Difference, *, full: bool, colour: bool) -> str:
    """For a terminal: a heading for each kind of thing, a mark before each."""

    def styled(style: str, text: str) -> str:
        return f"{style}{text}{_RESET}" if colour and style else text

    lines = [f"{word}  {_side(side)}" for word, side in (("old", difference.old), ("new", difference.new))]
    lines.append(_sizes(difference))
    found = sections(difference, full=full)
    for section in found:
        lines += ["", styled(_BOLD, printable(section.title))]
        for item in section.items:
            lines.append(styled(_COLOURS[item.mark], f"  {item.mark} {printable(item.text)}"))
            lines += [styled(_FAINT, f"      {printable(line)}".rstrip()) for line in item.details]
    if not found:
        lines += ["", "no difference"]
    lines += [line for note in difference.notes for line in ("", f"note: {printable(note)}")]
    return "".join(f"{line}\n" for line in lines)


def as_markdown(difference: Difference, *, full: bool) -> str:
    """For a pull request or release notes."""
    old, new = (escaped(side.name) for side in (difference.old, difference.new))
    lines = [f"## {old} → {new}", "", escaped(_sizes(difference))]
    found = sections(difference, full=full)
    for section in found:
        lines += ["", f"### {escaped(section.title[:1].upper() + section.title[1:])}", ""]
        for item in section.items:
            lines += _markdown_item(item)
    if not found:
        lines += ["", "No difference."]
    lines += [line for note in difference.notes for line in ("", f"> {escaped(note)}")]
    return "".join(f"{line}\n" for line in lines)


def _markdown_item(item: Item) -> list[str]:
    lines = [f"- {_WORDS[item.mark]}{escaped(item.text)}"]
    if item.details:
        # A changelog is text in columns: a block of code keeps it, and nothing in it can end the block.
        lines += ["", "  ```text", *(f"  {_fenced(line)}".rstrip() for line in item.details), "  ```", ""]
    return lines


def _fenced(line: str) -> str:
    return printable(line).replace("```", "'''")


def _side(side: Snapshot) -> str:
    return f"{printable(side.name)}  {side.digest[7:19]}"


def _sizes(difference: Difference) -> str:
    old, new = difference.old.facts, difference.new.facts
    if old is None or new is None:
        grown = sum(change.grown for change in difference.packages)
        return f"size installed {signed_size(grown)}"
    new_layers = [layer.size for layer in difference.layers if layer.kind == "added"]
    return (
        f"size {_size(old.image)} → {_size(new.image)}; "
        f"who has the old one pulls {size_text(sum(new_layers))} in {counted(len(new_layers), 'layer')}"
    )


def _size(image: "Image") -> str:
    """An engine's image, whose layers are not compressed, must not look grown beside a registry's."""
    plain = any(LAYERS.get(layer.media_type) == "none" for layer in image.manifest.layers)
    return size_text(image.size) + (" uncompressed" if plain else "")


def as_data(difference: Difference) -> dict[str, Any]:
    """Everything, for JSON; sizes in bytes."""
    return {
        "old": _side_data(difference.old),
        "new": _side_data(difference.new),
        "packages": [
            {
                "kind": change.kind,
                "name": change.name,
                "architectures": list(change.architectures),
                "old": _state_data(change.old),
                "new": _state_data(change.new),
            }
            for change in difference.packages
        ],
        "changelogs": {source: _news_data(news) for source, news in difference.news.items()},
        "cves": list(difference.cves),
        "changes": [asdict(change) for change in difference.changes],
        "files": [{**asdict(file), "what": list(file.what)} for file in difference.files],
        "layers": [asdict(layer) for layer in difference.layers],
        "notes": list(difference.notes),
    }


def _side_data(side: Snapshot) -> dict[str, Any]:
    size: Mapping[str, Any] = {} if side.facts is None else {"size": side.facts.image.size}
    return {"name": side.name, "kind": side.kind, "digest": side.digest, **size}


def _state_data(state: PackageState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "version": state.version,
        "source": state.source,
        "source_version": state.source_version,
        "size": state.size,
        "sha256": state.sha256 or None,
        "suite": state.suite or None,
        "variants": list(state.variants),
    }


def _news_data(news: PackageNews) -> dict[str, Any]:
    return {
        "older": news.way.older,
        "newer": news.way.newer,
        "backwards": news.backwards,
        "complete": news.complete,
        "cves": list(news.cves),
        "entries": [
            {
                "source": entry.source,
                "version": entry.version,
                "distributions": list(entry.distributions),
                "urgency": entry.urgency or None,
                "author": entry.author or None,
                "date": entry.date or None,
                "cves": list(entry.cves),
                "text": "\n".join(entry.lines),
            }
            for entry in news.entries
        ],
    }
