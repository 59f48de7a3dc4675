"""Every wrong definition in `bad/` against the message beside it.

`bad/DEFECT.yaml` is wrong in the way that its name says; `bad/DEFECT.txt` is what a person reads. After a change of
messages, `FORMATION_REWRITE=1 pytest tests/unit/definition` rewrites the texts; review them as you would code.
"""

import os
from pathlib import Path

import pytest

from formation.definition.load import load_any
from formation.errors import DefinitionError

BAD = Path(__file__).parent / "bad"
FIXTURES = sorted(path.stem for path in BAD.glob("*.yaml"))


def test_there_are_fixtures_and_no_text_without_one():
    assert len(FIXTURES) > 60
    assert {path.stem for path in BAD.glob("*.txt")} <= set(FIXTURES)


@pytest.mark.parametrize("defect", FIXTURES)
def test_a_wrong_definition_says_where_and_why(defect: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(BAD)
    with pytest.raises(DefinitionError) as caught:
        load_any(Path(f"{defect}.yaml"))

    error = caught.value
    text = error.message + (f"\nhint: {error.hint}" if error.hint else "") + "\n"
    golden = BAD / f"{defect}.txt"
    if os.environ.get("FORMATION_REWRITE"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert error.exit_code == 2
    assert text.startswith(f"{defect}.yaml:")
