"""Which version a level asks for. Source: Semantic Versioning 2.0.0; clause 4: before 1.0.0 anything may change."""

import re
from collections.abc import Iterable

from formation.dataclass import dataclass
from formation.definition import grammar
from formation.definition.problems import Invalid
from formation.errors import UsageError
from formation.registry.tag_plan import Release, VersionTag, parse_version_tag
from formation.release.level import Level

_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version is large enough."""

    previous: str
    level: Level
    deserved: str
    """The smallest version that is; the previous one when nothing changed."""
    version: str | None
    """The one that is judged; None: nobody named one."""

    @property
    def enough(self) -> bool:
        """Whether `version` may be given to the change. Where nothing changed, any that is not older may."""
        if self.version is None:
            return True
        order = _order(parse_version(self.version))
        if self.level is Level.NONE:
            return order >= _order(parse_version(self.previous))
        previous = parse_version(self.previous)
        return order > _order(previous) and parse_version(self.version).release >= parse_version(self.deserved).release


def parse_version(text: str) -> VersionTag:
    """`text` as a version without a variant. Raises UsageError for another."""
    found = parse_version_tag(text, "")
    if found is None:
        raise UsageError(f"{text[:100]!r} is not a version", hint="write MAJOR.MINOR.PATCH, such as 1.0.1")
    return found


def check_version(text: str) -> None:
    """Raises UsageError for what a definition could not have either, and so cannot be given."""
    try:
        grammar.version(text)
    except Invalid as error:
        raise UsageError(error.reason, hint=error.hint) from None


def deserved(previous: str, level: Level) -> str:
    """The smallest version after `previous` that `level` allows.

    A pre-release has promised nothing yet: its own release may have any change.
    """
    tag = parse_version(previous)
    old = tag.release
    if level is Level.NONE:
        return previous
    if tag.prerelease:
        return _text(old)
    if level is Level.MAJOR and old.major:
        return _text(Release(old.major + 1, 0, 0))
    if level is Level.PATCH:
        return _text(Release(old.major, old.minor, old.patch + 1))
    return _text(Release(old.major, old.minor + 1, 0))


def judge_version(previous: str, level: Level, version: str | None) -> Verdict:
    """The verdict on `version` for a change of `level` since `previous`. Raises UsageError for what is no version."""
    if version is not None:
        parse_version(version)
    return Verdict(previous, level, deserved(previous, level), version)


def is_older(version: str, other: str) -> bool:
    """Whether `version` comes before `other` (clause 11). Raises UsageError for what is no version."""
    return _order(parse_version(version)) < _order(parse_version(other))


def highest(tags: Iterable[str], at_most: str, variant: str = "", *, below: bool = False) -> str | None:
    """The greatest final version among `tags` that is not above `at_most`, without the variant's suffix.

    A release of an older line follows the last of its own line. `below`: nor `at_most` itself, or its release. None
    when there is none.
    """
    limit = parse_version(at_most).release
    found = [tag for text in tags if (tag := parse_version_tag(text, variant)) is not None and not tag.prerelease]
    line = [tag.release for tag in found if tag.release < limit or (tag.release == limit and not below)]
    return _text(max(line)) if line else None


def same_line(older: str, newer: str) -> bool:
    """Whether `newer` has to keep what `older` promised, whatever it adds: it is no major version, or 0.x, later."""
    before, after = parse_version(older).release, parse_version(newer).release
    return before.major == after.major and (before.major > 0 or before.minor == after.minor)


def following(version: str, tags: Iterable[str]) -> str:
    """The version after `version` for the same change: 1.0.2 after 1.0.1, 2.0.0-rc.2 after 2.0.0-rc.1.

    It is above those among `tags`, of any variant, that differ from it in the last number only. A pre-release without
    a number that can be counted up (beta; rc9, for rc10 is below it) gets one: beta.1.
    """
    tag = parse_version(version)
    release = tag.release
    others = [tag, *(found for text in tags if (found := parse_version_tag(text)) is not None)]
    if not tag.prerelease:
        final = [each.release for each in others if not each.prerelease]
        patches = [each.patch for each in final if (each.major, each.minor) == (release.major, release.minor)]
        return _text(Release(release.major, release.minor, max(patches) + 1))
    known = [each for each in others if each.release == release]
    word = tag.prerelease.rstrip(_DIGITS)
    greatest = max((each for each in known if each.prerelease.rstrip(_DIGITS) == word), key=_order)
    for stem in (word, f"{greatest.prerelease}."):
        pattern = re.compile(rf"{re.escape(stem)}([0-9]+)")
        numbers = [int(match[1]) for each in known if (match := pattern.fullmatch(each.prerelease)) is not None]
        answer = f"{_text(release)}-{stem}{max(numbers, default=0) + 1}"
        if stem != tag.prerelease and _order(parse_version(answer)) > _order(greatest):
            break
    return answer


def _order(tag: VersionTag) -> tuple[Release, bool, tuple[tuple[int, int, str], ...]]:
    """Sorts as clause 11 says: a pre-release before its release, its parts one by one, numbers before words."""
    parts = tag.prerelease.split(".") if tag.prerelease else []
    key = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return tag.release, not tag.prerelease, key


def _text(release: Release) -> str:
    return f"{release.major}.{release.minor}.{release.patch}"
