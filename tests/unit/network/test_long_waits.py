import pytest

from formation.network.long_waits import LongWaits, time_text


def test_every_long_wait_is_told_of_and_no_short_one():
    now, notes = [0.0], []
    waits = LongWaits(notes.append, lambda: now[0])
    waits.tell("a.example", 4.9)
    waits.tell("a.example", 20)
    waits.tell("b.example:5000", 5)
    now[0] = 20.0
    waits.tell("a.example", 20)
    assert notes == [
        "a.example asks to wait 20 s",
        "b.example:5000 asks to wait 5 s",
        "a.example asks to wait 20 s",
    ]


def test_transfers_that_are_sent_away_together_are_told_of_once():
    now, notes = [0.0], []
    waits = LongWaits(notes.append, lambda: now[0])
    for moment in (0.0, 0.5, 3.0):
        now[0] = moment
        waits.tell("a.example", 20)
    assert len(notes) == 1
    waits.tell("a.example", 90)
    assert notes[1:] == ["a.example asks to wait 90 s"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (19.2, "20 s"), (120, "120 s"), (3600, "60 min"), (43_000, "12 h"), (86_401, "2 days")],
)
def test_times_are_rounded_up(seconds, text):
    assert time_text(seconds) == text
