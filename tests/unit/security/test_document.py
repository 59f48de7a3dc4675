"""docs/audit.md lists every check as it is."""

from pathlib import Path

from formation.security.document import document, table
from formation.security.registry import CHECKS

DOCUMENT = Path(__file__).parents[3] / "docs" / "audit.md"


def test_the_documentation_has_the_checks_that_there_are():
    text = DOCUMENT.read_text()
    assert text == document(text, CHECKS), "run: python -m formation.security.document"
    assert all(f"\n### {check.id}\n" in text for check in CHECKS)


def test_what_is_around_the_list_stays():
    text = DOCUMENT.read_text()
    one = document(text, CHECKS[:1])
    assert one.startswith(text[:200]) and "setuid-file: " not in table(CHECKS[:1])
    assert document(one, CHECKS) == text
