"""The entry of a release in CHANGELOG.md: what changed, as people read it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from formation.release.changelog import in_order
from formation.release.difference import Difference
from formation.release.level import Level, Reason
from formation.release.markdown import escaped
from formation.release.packages import PackageChange
from formation.release.versions import Verdict


def entry(
    verdict: Verdict, version: str, differences: Sequence[Difference], reasons: Iterable[Reason], now: int
) -> str:
    """The entry for `version`, Markdown that ends in a newline; `now` is in seconds since 1970.

    The first of `differences` is the runtime variant's.
    """
    day = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    contract = [reason for reason in reasons if not reason.rule.startswith("package-") or reason.level > Level.PATCH]
    sections: dict[str, list[Reason]] = {"Breaking": [], "Added": [], "Changed": [], "Also": []}
    for reason in contract:
        sections[_section(reason)].append(reason)
    lines = [f"## {version} - {day}", "", _first_line(verdict, changed=bool(sections["Changed"]))]
    for title, chosen in sections.items():
        if chosen:
            lines += ["", f"### {title}", *(f"- {escaped(_said(reason))}" for reason in chosen)]
    if fixed := _fixed(differences):
        lines += ["", "### CVEs that the updates name", *fixed]
    if packages := _packages(differences):
        lines += ["", "### Packages", *packages]
    return "\n".join(lines) + "\n"


def _section(reason: Reason) -> str:
    """Under which title it is told: rules end in what happened, and only `-added` is something that was not there."""
    match reason.level:
        case Level.MAJOR:
            return "Breaking"
        case Level.MINOR:
            return "Added" if reason.rule.endswith("-added") else "Changed"
        case _:
            return "Also"


def _first_line(verdict: Verdict, *, changed: bool) -> str:
    match verdict.level:
        case Level.MAJOR:
            return f"Breaks the contract of {verdict.previous}: look at each item before a service moves."
        case Level.MINOR if changed:
            return f"Takes nothing away that {verdict.previous} has; what changed is below."
        case Level.MINOR:
            return f"Has all that {verdict.previous} has, and more."
        case _:
            return f"Keeps the contract of {verdict.previous}."


def _fixed(differences: Sequence[Difference]) -> list[str]:
    by_cve: dict[str, list[str]] = {}
    for difference in differences:
        for source, news in difference.news.items():
            for cve in () if news.backwards else news.cves:
                if source not in by_cve.setdefault(cve, []):
                    by_cve[cve].append(source)
    return [f"- {cve} ({escaped(', '.join(by_cve[cve]))})" for cve in in_order(by_cve)]


def _packages(differences: Sequence[Difference]) -> list[str]:
    """A line for each way that binary packages went, those of all variants together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for difference in differences:
        for change in difference.packages:
            names = groups.setdefault(_key(change), [])
            if change.name not in names:
                names.append(change.name)
    lines = []
    for (_, old, new), names in sorted(groups.items()):
        way = f"{old} → {new}" if old and new else f"{new}, new" if new else f"{old}, removed"
        lines.append(f"- {escaped(', '.join(names))} {escaped(way)}")
    return lines


def _key(change: PackageChange) -> tuple[str, str, str]:
    return change.either.source, change.old.version if change.old else "", change.new.version if change.new else ""


def _said(reason: Reason) -> str:
    return f"{reason.variant}: {reason.text}" if reason.variant else reason.text
