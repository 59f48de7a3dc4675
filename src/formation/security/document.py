"""docs/audit.md's list of checks, made from the checks themselves."""

from collections.abc import Sequence

from formation.security.findings import Check

BEGIN = "<!-- made by: python -m formation.security.document -->"
END = "<!-- end of what is made -->"


def table(checks: Sequence[Check]) -> str:
    """The checks as Markdown: an overview, then each with its reason and its fix."""
    rows = [
        "| # | check | finds | severity | source |",
        "|---|---|---|---|---|",
        *(
            f"| {check.number} | [`{check.id}`](#{check.id}) | {check.title} | {_severity(check)} | {check.source} |"
            for check in checks
        ),
    ]
    details = [f"### {check.id}\n\n{check.why}\n\nFix: {_escaped(check.fix)}\n" for check in checks]
    return "\n".join(rows) + "\n\n" + "\n".join(details)


def document(text: str, checks: Sequence[Check]) -> str:
    """`text`, a whole docs/audit.md, with its list of checks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(checks)}{END}{after}"


def _severity(check: Check) -> str:
    said = [str(check.severity)]
    if check.base is not None:
        said.append(f"{check.base} in a base")
    if check.strict is not None:
        said.append(f"{check.strict} when strict")
    if check.only is not None:
        said.append(f"{check.only}s only")
    return ", ".join(said)


def _escaped(text: str) -> str:
    return text.replace("*", "\\*").replace("|", "\\|")


def main() -> None:
    """Rewrites docs/audit.md of the repository that this file is in."""
    from pathlib import Path

    from formation.security.registry import CHECKS

    path = Path(__file__).parents[3] / "docs" / "audit.md"
    path.write_text(document(path.read_text(), CHECKS))


if __name__ == "__main__":
    main()
