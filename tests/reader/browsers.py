"""A real Chromium that reads like a radiologist, by keys; and what a reader does in any browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: tests/packages.sh installs it")
PATIENCE_MS = 60_000
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--host-resolver-rules=MAP reading.test 127.0.0.1"]
"""Root needs the first; without a graphics processor WebGL2 needs the second. The third is a name in a network."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A Chromium without a window; it has no access to anything but what the tests open."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Screen:
    """One tab, with what went wrong in it and all that it asked for."""

    def __init__(self, context: Any) -> None:
        self.tab = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.tab.set_default_timeout(PATIENCE_MS)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.tab.on("request", lambda request: self.requests.append(request.url))

    def at_page(self, name: str) -> None:
        """Wait for a page of text, and for its buttons to work."""
        self.tab.locator(f'html[data-page="{name}"]').wait_for(state="attached")
        self.tab.wait_for_timeout(350)

    def at_place(self, progress: str) -> None:
        """Wait for an image whose progress is this, and for its keys to work."""
        self.tab.locator(f'html[data-shown="{progress}"]').wait_for(state="attached")
        self.tab.wait_for_timeout(350)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def through(self, *names: str) -> None:
        """Press Enter on these pages of text; on the check of the screen choose the first answer before."""
        for name in names:
            self.at_page(name)
            self.press(*(["Tab"] if name == "display" else []), "Enter")


ASKED = {2: ("1", "3"), 3: ("2", "2", "1"), 5: ("3", "1", "2")}
"""The key for each place of the sessions that ask, in a study of the size of ``reading_folder``."""
WORDS = {"1": "real", "2": "not real", "3": "unsure"}


class Reader(Protocol):
    """A reader in front of a browser."""

    def at_page(self, name: str) -> None: ...
    def at_place(self, progress: str) -> None: ...
    def press(self, *keys: str) -> None: ...
    def through(self, *names: str) -> None: ...


def start(reader: Reader, practice: int = 0) -> None:
    """From the instructions to the first image, through so many practice images."""
    reader.through("instructions", "display")
    if practice:
        reader.through("practice")
    for number in range(1, practice + 1):
        reader.at_place(f"Practice {number} of {practice}")
        reader.press("1", "1")
    reader.through("start")


def to_the_first_question(reader: Reader) -> None:
    """To the first image of session 2, the first that asks."""
    reader.through("consent")
    start(reader)
    for position in (1, 2):
        reader.at_place(f"Session 1: {position} of 2")
        reader.press("Enter")
    start(reader, practice=1)
    reader.at_place("Session 2: 1 of 2")


def play_all_sessions(reader: Reader) -> None:
    """Read the whole study by keyboard, confirming with Enter or with the same key again."""
    reader.through("consent")
    for session, total in zip(range(1, 6), (2, 2, 3, 2, 3), strict=True):
        start(reader, practice=int(session == 2))
        for position in range(total):
            reader.at_place(f"Session {session}: {position + 1} of {total}")
            if session in ASKED:
                key = ASKED[session][position]
                reader.press(key, "Enter" if position % 2 else key)
            else:
                reader.press("Enter")
    reader.at_page("end")
