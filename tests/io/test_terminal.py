"""Progress in a log file: the time that is left is not estimated from the start of the processes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mammogan.io.terminal import duration, track


def lines_of(seconds: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What is printed while each item takes these seconds of a clock of ours."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def items() -> Iterator[int]:
        for number, taken in enumerate(seconds):
            clock[0] += taken
            yield number

    list(track(items(), len(seconds), "files converted"))
    return capsys.readouterr().out.splitlines()


def test_the_start_of_the_processes_is_not_in_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_, last = lines_of([20.0] + [0.1] * 999, monkeypatch, capsys)
    assert first == "files converted: 1 of 1000"
    assert second == "files converted: 152 of 1000, 10.0/s, 1 min 24 s left"
    assert last == "files converted: 1000 of 1000 in 1 min 59 s"


def test_several_items_that_end_at_once_give_no_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lines_of([20.0, 0, 0, 0], monkeypatch, capsys)[0] == "files converted: 1 of 4"


def test_a_duration_is_readable() -> None:
    assert [duration(s) for s in (4.4, 185, 7620)] == ["4 s", "3 min 05 s", "2 h 07 min"]
