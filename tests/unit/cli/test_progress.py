import io
import itertools
import re
import threading

import pytest

from formation.cli.progress_bars import StageBars
from formation.cli.progress_terminal import Display, Lines, open_progress
from formation.cli.text import size_text, table
from formation.progress import Silent, counted


def ticking():
    ticks = itertools.count()
    return lambda: next(ticks) * 1.5


def test_a_line_is_written_when_a_stage_ends():
    stream = io.StringIO()
    with open_progress(stream, terminal=False, colour=False, quiet=False, clock=ticking()) as progress:
        progress.start("download", 10, "B")
        progress.advance("download", 10)
        assert stream.getvalue() == ""
        progress.finish("download", "3 packages")
        progress.note("something")
        progress.finish("never begun", "x")
    assert stream.getvalue().splitlines() == [
        "download                       1.5 s  3 packages",
        "note: something",
        "never begun                           x",
    ]


def test_the_lines_of_all_suites_stand_below_each_other():
    stream = io.StringIO()
    progress = Lines(stream, ticking())
    for suite in ("trixie", "trixie-updates", "bookworm-security"):
        progress.start(f"indexes of {suite}", 1)
        progress.finish(f"indexes of {suite}", "1 file")
    assert len({line.index("1 file") for line in stream.getvalue().splitlines()}) == 1


def test_a_note_shows_no_password():
    stream = io.StringIO()
    Lines(stream, ticking()).note("cannot download https://me:s3cret@a.example/x: cut")
    assert stream.getvalue() == "note: cannot download https://me:…@a.example/x: cut\n"


def test_quiet_says_nothing():
    stream = io.StringIO()
    with open_progress(stream, terminal=True, colour=True, quiet=True, clock=ticking()) as progress:
        assert isinstance(progress, Silent)
        progress.note("x")
    assert stream.getvalue() == ""


def test_quick_work_draws_no_bars():
    stream = io.StringIO()
    with open_progress(stream, terminal=True, colour=True, quiet=False, clock=ticking()) as progress:
        progress.start("resolve", 0)
        progress.finish("resolve", "104 packages")
    assert stream.getvalue() == "resolve                        1.5 s  104 packages\n"


def test_bars_show_running_stages_and_leave_only_the_lines_of_ended_ones():
    stream = io.StringIO()
    display = Display(stream, ticking(), colour=False)
    display.start("download", 2_000_000, "B")
    display.advance("download", 1_000_000)
    display._show()
    display.start("unpack", 104)
    display.advance("unpack", 17)
    display.finish("download", "done")
    display.note("between")
    display.close()
    display.note("after")
    text = stream.getvalue()
    assert "1.0 MB of 2.0 MB" in text
    assert "download                       3.0 s  done" in text
    assert "between" in text
    assert text.endswith("note: after\n")


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("stage", ["download", "indexes of trixie-security"])
def test_a_bar_is_one_line_of_the_terminal(monkeypatch, width, stage):
    monkeypatch.setenv("COLUMNS", str(width))
    bars = StageBars(io.StringIO(), colour=False)
    bars.add(stage, 999_900_000, 999_900_001, "B")
    monkeypatch.setattr("rich.progress.Task.speed", 999_900_000.0)
    with bars._console.capture() as captured:
        bars._console.print(bars._bars.get_renderable())
    (line,) = captured.get().splitlines()
    shown = re.sub("\x1b[^m]*m", "", line)
    assert len(shown) <= width
    if width >= 60 and stage == "download":
        assert shown.rstrip().endswith("999.9 MB of 999.9 MB, 999.9 MB/s")


def test_a_display_that_is_closed_draws_no_more():
    stream = io.StringIO()
    display = Display(stream, ticking(), colour=False)
    display.close()
    display._show()
    display.start("x", 1)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("kind", [Lines, lambda stream, clock: Display(stream, clock, False)])
def test_stages_may_come_from_many_threads(kind):
    stream = io.StringIO()
    progress = kind(stream, lambda: 0.0)

    def work(number):
        for turn in range(50):
            progress.start(f"{number}.{turn}", 1)
            progress.advance(f"{number}.{turn}")
            progress.finish(f"{number}.{turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if isinstance(progress, Display):
        progress.close()
    assert len(stream.getvalue().splitlines()) == 200


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (1_500_000_000, "1.5 GB"), (10**16, "10000.0 TB")],
)  # fmt: skip
def test_sizes_have_the_unit_that_fits(size, text):
    assert size_text(size) == text


def test_a_table_aligns_its_columns_and_has_no_trailing_spaces():
    text = table(("NAME", "SIZE"), [("a", "1"), ("longer\x1b", "1000")], right=frozenset({1}))
    assert text == "NAME     SIZE\na           1\nlonger�  1000\n"


def test_one_thing_is_told_in_the_singular():
    assert [counted(number, "suite") for number in (0, 1, 2)] == ["0 suites", "1 suite", "2 suites"]
