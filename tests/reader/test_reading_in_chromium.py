"""A reader plays all five sessions of a tiny study in a real browser, by keyboard; what is typed is what is stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from reading_clients import links_of
from reading_servers import Process, rows

from mammogan.reader.folder import ReadingFolder
from reader.browsers import (
    ASKED,
    WORDS,
    Screen,
    chromium,
    needs_chromium,
    play_all_sessions,
    start,
    to_the_first_question,
)

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


def test_one_reader_plays_all_five_sessions_by_keyboard(screen: Screen, process: Process) -> None:
    assert screen.tab.url == f"{process.address}/", "the token is out of the address"
    play_all_sessions(screen)
    assert screen.tab.locator("h1").inner_text() == "The study is finished"
    stored = rows(process, "select session, position, answer from answer where reader = 1 order by 1, 2")
    expected = [(session, position, "seen") for session in (1, 4) for position in range(2)]
    expected += [(one, position, WORDS[key]) for one, keys in ASKED.items() for position, key in enumerate(keys)]
    assert stored == sorted(expected)
    assert screen.errors == []
    assert all(url.startswith(process.address) or url == "data:," for url in screen.requests)
    assert rows(process, "select count(*) from event where kind = 'consent' and reader = 1") == [(1,)]


def test_a_slip_is_mended_before_moving_on_and_never_after(screen: Screen, process: Process) -> None:
    to_the_first_question(screen)
    screen.press("1", "2", "3", "1")
    assert screen.tab.locator("button.chosen").inner_text() == "1 real"
    screen.press("Backspace", "Enter")
    screen.at_place("Session 2: 2 of 2")
    screen.press("Backspace", "Enter")
    screen.tab.go_back()
    screen.tab.wait_for_timeout(300)
    screen.tab.goto(process.address)
    screen.through("resume")
    screen.at_place("Session 2: 2 of 2")
    assert rows(
        process, "select position, answer, json_extract(client, '$.changed') from answer where session = 2"
    ) == [(0, "real", 3)]
    assert screen.errors == []


def test_keys_are_dead_for_a_moment_after_a_new_image_and_when_held_down(screen: Screen, process: Process) -> None:
    to_the_first_question(screen)
    screen.tab.keyboard.down("1")
    screen.tab.keyboard.down("1")  # the system's repetition, with the key still down
    assert screen.tab.locator("button.chosen").count() == 1
    screen.tab.keyboard.up("1")
    at_once = """() => new MutationObserver((_, observer) => {
      if (document.documentElement.dataset.shown !== 'Session 2: 2 of 2') return;
      observer.disconnect();
      for (const code of ['Digit2', 'Digit2']) dispatchEvent(new KeyboardEvent('keydown', { code }));
      document.documentElement.dataset.pressed = document.querySelectorAll('button.chosen').length;
    }).observe(document.documentElement, { attributes: true })"""
    screen.tab.evaluate(at_once)
    screen.press("Enter")
    screen.tab.locator('html[data-pressed="0"]').wait_for(state="attached")
    screen.tab.wait_for_timeout(400)
    assert rows(process, "select count(*) from answer where session = 2") == [(1,)]
    screen.press("2", "2")
    screen.at_page("instructions")
    assert rows(process, "select count(*) from answer where session = 2") == [(2,)]


def test_quick_keys_after_the_last_image_answer_nothing_on_the_pages_of_text(screen: Screen, process: Process) -> None:
    screen.through("consent")
    start(screen)
    screen.at_place("Session 1: 1 of 2")
    screen.press("Enter")
    screen.at_place("Session 1: 2 of 2")
    at_once = """() => new MutationObserver((_, observer) => {
      if (document.documentElement.dataset.page !== 'instructions') return;
      observer.disconnect();
      document.activeElement.click();
      document.documentElement.dataset.pressed = document.activeElement.textContent;
    }).observe(document.documentElement, { attributes: true })"""
    screen.tab.evaluate(at_once)
    screen.press("Enter")
    screen.tab.locator('html[data-pressed="Continue"]').wait_for(state="attached")
    screen.through("instructions")
    screen.at_page("display")
    screen.press("Enter", "Enter", " ")
    screen.at_page("display")
    told = rows(process, "select count(*) from event where kind = 'display' and session = 2")
    assert told == [(0,)], "there is no default answer"


def test_in_a_break_the_screen_is_black_keys_are_dead_and_the_clock_stands_still(
    screen: Screen, process: Process
) -> None:
    to_the_first_question(screen)
    screen.press(" ")
    assert screen.tab.locator("#rest").is_visible() and not screen.tab.locator("#place").is_visible()
    screen.press("1", "1")
    screen.tab.wait_for_timeout(2000)
    screen.press(" ")
    screen.tab.wait_for_timeout(400)
    assert screen.tab.locator("button.chosen").count() == 0
    screen.press("1", "1")
    screen.at_place("Session 2: 2 of 2")
    ((client_ms, away_ms, wall_ms),) = rows(
        process, "select client_ms, away_ms, answered_ms - shown_ms from answer where session = 2"
    )
    assert away_ms >= 2000 and client_ms + away_ms <= wall_ms + 100
    breaks = rows(process, "select kind, position from event where session = 2 and kind in ('pause', 'resume')")
    assert breaks == [("pause", 0), ("resume", 0)]


def test_a_hidden_tab_is_a_break(screen: Screen, process: Process) -> None:
    to_the_first_question(screen)
    hide = """() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    screen.tab.evaluate(hide)
    assert screen.tab.locator("#rest").is_visible()


def test_a_second_tab_moves_on_and_the_first_one_follows_without_writing(screen: Screen, process: Process) -> None:
    to_the_first_question(screen)
    second = Screen(screen.tab.context)
    second.tab.goto(process.address)
    second.through("resume")
    second.at_place("Session 2: 1 of 2")
    second.press("2", "2")
    second.at_place("Session 2: 2 of 2")
    screen.press("1", "1")
    screen.through("resume")
    screen.at_place("Session 2: 2 of 2")
    assert rows(process, "select position, answer from answer where session = 2") == [(0, "not real")]


def test_a_tab_whose_browser_has_opened_anothers_link_says_so_and_stores_nothing(
    screen: Screen, process: Process
) -> None:
    to_the_first_question(screen)
    second = Screen(screen.tab.context)
    second.tab.goto(links_of(process.folder)["R2"])
    second.at_page("consent")
    screen.press("2", "2")
    screen.at_page("no-reader")
    assert "open your own link again" in screen.tab.locator("#paragraphs").inner_text()
    assert rows(process, "select count(*) from answer where session = 2 or reader = 2") == [(0,)]
    screen.tab.goto(links_of(process.folder)["R1"])
    screen.through("resume")
    screen.at_place("Session 2: 1 of 2")


def test_an_answer_that_meets_a_dead_server_is_kept_and_stored_when_it_is_back(
    screen: Screen, process: Process
) -> None:
    to_the_first_question(screen)
    process.kill()
    screen.press("2", "2")
    screen.tab.locator("#notice").wait_for(state="visible")
    assert "Nothing is lost" in screen.tab.locator("#notice").inner_text()
    process.start()
    screen.at_place("Session 2: 2 of 2")
    assert not screen.tab.locator("#notice").is_visible()
    assert rows(process, "select position, answer from answer where session = 2") == [(0, "not real")]


def test_trouble_with_the_database_is_said_and_the_answer_is_stored_later(screen: Screen, process: Process) -> None:
    to_the_first_question(screen)
    with sqlite3.connect(process.folder.path / "reading.sqlite", isolation_level=None) as other:
        other.execute("begin immediate")
        screen.press("3", "3")
        screen.tab.locator("#notice").wait_for(state="visible")
        assert "busy" in screen.tab.locator("#notice").inner_text()
        other.execute("rollback")
    screen.at_place("Session 2: 2 of 2")
    assert rows(process, "select position, answer from answer where session = 2") == [(0, "unsure")]


def test_a_wrong_or_revoked_link_is_said_in_words(screen: Screen, process: Process) -> None:
    assert screen.tab.goto(f"{process.address}/enter/wrong").status == 403
    assert "ask the study's coordinator" in screen.tab.content()
    screen.tab.context.clear_cookies()
    screen.tab.goto(process.address)
    screen.at_page("no-reader")
    assert "ask the study's coordinator" in screen.tab.locator("#paragraphs").inner_text()


def test_the_display_is_recorded_before_each_session(screen: Screen, process: Process) -> None:
    screen.through("consent", "instructions")
    screen.at_page("display")
    assert screen.tab.locator("#patches").is_visible()
    screen.press("Tab", "Tab", "Enter")
    screen.at_page("start")
    ((details,),) = rows(process, "select details from event where kind = 'display'")
    told = json.loads(details)
    assert told["both_patches"] is False and told["renderer"] in ("canvas", "webgl2") and told["pixel_ratio"] == 1
    assert told["window"] == [1200, 800] and "Chrome" in told["browser"] and told["frame_ms"]["plain"] > 0


def test_it_works_under_a_name_without_encryption(browser: Any, folder: ReadingFolder) -> None:
    """Browsers switch much off on plain http; they call 127.0.0.1 safe, and a name in a network not."""
    process = Process(folder, "--names", "reading.test")
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    screen, links = Screen(context), links_of(folder)
    screen.tab.goto(links["R1"])
    assert screen.tab.url == f"http://reading.test:{process.port}/" and not screen.tab.evaluate("isSecureContext")
    to_the_first_question(screen)
    screen.press("1", "1")
    screen.at_place("Session 2: 2 of 2")
    coordinator = context.new_page()
    coordinator.goto(links["coordinator"])
    coordinator.wait_for_url("**/coordinator")
    coordinator.get_by_role("button", name="new link").nth(1).click()
    coordinator.locator("code").wait_for()
    assert coordinator.locator("code").inner_text() == links_of(folder)["R2"] != links["R2"]
    coordinator.get_by_role("link").click()
    coordinator.get_by_role("button", name="revoke").first.click()
    coordinator.get_by_text("revoked").wait_for()
    screen.press("1", "1")
    screen.at_page("no-reader")
    process.kill()
