"""A reader plays all five sessions of a tiny study in a real browser, by keyboard; what is typed is what is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from reading_clients import links_of
from reading_servers import Process

from reader.browsers import Screen, chromium, needs_chromium

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def screen(browser: Any, process: Process) -> Iterator[Screen]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    made = Screen(context)
    made.tab.goto(links_of(process.folder)["R1"])
    yield made
    context.close()


def rows(process: Process, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(process.folder.path / "reading.sqlite") as database:
        return database.execute(query).fetchall()


def start(screen: Screen, asks: bool, practice: bool = False) -> None:
    """From the instructions to the first image."""
    screen.through("instructions", "display")
    if practice:
        screen.through("practice")
        screen.at_place("Practice 1 of 1")
        screen.press("1", "1")
    screen.through("start")


def test_one_reader_plays_all_five_sessions_by_keyboard(screen: Screen, process: Process) -> None:
    typed = {2: ("1", "3"), 3: ("2", "2", "1"), 5: ("3", "1", "2")}
    words = {"1": "real", "2": "not real", "3": "unsure"}
    assert screen.tab.url == f"{process.address}/", "the token is out of the address"
    screen.through("consent")
    for session, total in zip(range(1, 6), (2, 2, 3, 2, 3), strict=True):
        start(screen, session in typed, practice=session == 2)
        for position in range(total):
            screen.at_place(f"Session {session}: {position + 1} of {total}")
            screen.press(typed[session][position] if session in typed else "Enter")
            if session in typed:
                screen.press("Enter" if position % 2 else typed[session][position])
    screen.at_page("end")
    assert screen.tab.locator("h1").inner_text() == "The study is finished"
    stored = rows(process, "select session, position, answer from answer where reader = 1 order by 1, 2")
    expected = [(session, position, "seen") for session in (1, 4) for position in range(2)]
    expected += [(one, position, words[key]) for one, keys in typed.items() for position, key in enumerate(keys)]
    assert stored == sorted(expected)
    assert screen.errors == []
    assert all(url.startswith(process.address) or url == "data:," for url in screen.requests)
    assert rows(process, "select count(*) from event where kind = 'consent' and reader = 1") == [(1,)]
