"""docs/verify.md lists every finding that there is."""

import re
from pathlib import Path
from typing import get_args

import formation.contract
from formation.contents.layer import ProblemKind

DOCUMENT = Path(__file__).parents[3] / "docs" / "verify.md"
_LITERAL = re.compile(r'Finding\(\s*"[a-z]+",\s*"([a-z-]+)"')
_CHECK = re.compile(r'finding\("(file-[a-z]+)"')


def test_every_finding_is_in_the_documentation():
    listed = set(re.findall(r"`([a-z0-9-]+)`", DOCUMENT.read_text()))
    (package,) = formation.contract.__path__
    sources = {path.name: path.read_text() for path in Path(package).glob("*.py")}
    found = {id_ for text in sources.values() for id_ in _LITERAL.findall(text)}
    found |= {f"check-{id_}" for id_ in _CHECK.findall(sources["checks.py"])}
    found |= {f"layer-{kind}" for kind in get_args(ProblemKind)}
    assert len(found) > 40
    assert found - listed == set()
