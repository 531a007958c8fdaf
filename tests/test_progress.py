"""Progress: how often it speaks and what it says, with a clock that the test moves."""

import io
import re

import pytest

from sparseprop_dist.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drive(stream, seconds, steps=1000, **options):
    """A run of 1,000 ms and 50 neurons at 20 Hz that takes ``seconds`` of wall time after 7 s of compilation."""
    clock = Clock()
    with Progress(1000.0, 50, stream=stream, clock=clock, **options) as progress:
        clock.now += 7.0
        progress.update(0.0, 0)
        for step in range(1, steps + 1):
            clock.now += seconds / steps
            progress.update(1000.0 * step / steps, step * 1000 // steps)
    return stream.getvalue()


def test_lines_come_once_a_tenth():
    lines = drive(io.StringIO(), seconds=20.0).splitlines()
    assert len(lines) == 10
    assert lines[2] == "     300.0 of 1000.0 ms ( 30 %), real-time factor 20, 20 Hz, 0:14 left"


def test_lines_of_a_short_run_are_few():
    assert len(drive(io.StringIO(), seconds=1.0).splitlines()) == 2
    assert len(drive(io.StringIO(), seconds=0.01).splitlines()) == 1


def test_lines_of_a_long_run_come_twice_a_minute():
    lines = drive(io.StringIO(), seconds=36_000.0, steps=100_000).splitlines()
    assert 1100 < len(lines) < 1300
    assert lines[0].endswith("9:59:30 left")


def test_bar_on_a_terminal_is_drawn_ten_times_a_second_at_most():
    drawn = drive(Terminal(), seconds=2.0)
    assert 15 <= drawn.count("\r") <= 30
    assert re.search(r"\| \d\d\d/1000 ms, real-time factor 2, 20 Hz, 0:01 left", drawn)
    assert drawn.endswith("\n")


def test_bar_behind_a_pipe_has_the_width_that_the_environment_says(monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")
    drawn = drive(io.StringIO(), seconds=2.0, style="bar")
    assert {len(line) for line in drawn.strip("\r\n").split("\r")} <= {89, 90}


def test_none_says_nothing():
    assert drive(Terminal(), seconds=20.0, style="none") == ""


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_run_without_progress_says_nothing(stream):
    with Progress(1000.0, 50, stream=stream) as progress:
        progress.update(0.0, 0)
    assert stream.getvalue() == ""
