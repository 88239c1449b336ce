"""What a study may ask or tell besides: a second question, a click, the truth after each image of a training block."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reading_clients import links_of
from reading_folders import reading_folder
from reading_servers import Process, Served

from mammogan.io.atomic import write_json
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.plan import Questions
from reader.browsers import Screen, chromium, needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def stored(folder: ReadingFolder) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder.path / "reading.sqlite") as database:
        return database.execute("select answer, cancer, click_x, click_y from answer order by position").fetchall()


def one_session(path: Path, **values: Any) -> ReadingFolder:
    return reading_folder(path / "reading", counts=(3,), kinds=("blind",), readers=1, practice=0, consent="", **values)


@pytest.mark.parametrize(
    ("cancer", "right", "wrong"), [("yes-no", "no", "1"), ("1-5", "4", "yes"), ("off", None, "no")]
)
def test_the_second_question_takes_its_own_answers_only(tmp_path: Path, cancer: Any, right: Any, wrong: Any) -> None:
    served = Served(one_session(tmp_path, questions=Questions(cancer, click=True)))
    reader = served.reader()
    reader.begin(1)
    reader.image(1, 0)
    for refused in ({"cancer": wrong}, {"cancer": right, "click": [1]}, {"cancer": right, "click": [1, 97]}):
        assert reader.answer(1, 0, "real", **refused).status_code == 400
    assert reader.answer(1, 0, "real", cancer=right, click=[12.5, 90]).status_code == 200
    assert stored(served.folder) == [("real", right, 12.5, 90.0)]
    served.store.close()


@needs_chromium
def test_three_questions_are_answered_by_keys_and_a_click(browser: Any, tmp_path: Path) -> None:
    process = Process(one_session(tmp_path, questions=Questions("1-5", click=True)))
    screen = Screen(browser.new_context(viewport={"width": 900, "height": 700}))
    screen.tab.goto(links_of(process.folder)["R1"])
    screen.through("instructions", "display", "start")
    screen.at_place("Session 1: 1 of 3")
    screen.press("2", "Enter", "5", "Backspace", "1", "1")
    assert "Suspicion" in screen.tab.locator("#question").inner_text()
    screen.press("4", "4")
    assert "Click" in screen.tab.locator("#question").inner_text()
    box = screen.tab.locator("canvas").bounding_box()
    screen.tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    screen.tab.locator(".ring:visible").wait_for()  # drawn with the next frame
    assert screen.tab.locator(".ring:visible").count() == 1
    screen.press("Enter")
    screen.at_place("Session 1: 2 of 3")
    assert screen.tab.locator(".ring:visible").count() == 0
    screen.press("1", "1", "1", "1", "Enter")
    screen.at_place("Session 1: 3 of 3")
    first, second = stored(process.folder)
    assert first[:2] == ("real", "4") and first[2:] == pytest.approx((32, 48), abs=1)
    assert second == ("real", "1", None, None)
    process.kill()


@needs_chromium
def test_a_training_block_tells_the_truth_after_the_answer_and_not_before(browser: Any, tmp_path: Path) -> None:
    folder = reading_folder(
        tmp_path / "reading", counts=(2, 1), kinds=("feedback", "blind"), readers=1, practice=0, consent=""
    )
    process = Process(folder)
    truths = [place.truth for place in folder.load().order_of("R1", 1)]
    screen = Screen(browser.new_context(viewport={"width": 900, "height": 700}))
    told: list[str] = []
    screen.tab.on(
        "response", lambda response: told.append(response.text()) if response.url.endswith("/state") else None
    )
    screen.tab.goto(links_of(folder)["R1"])
    screen.through("instructions", "display", "start")
    for position, truth in enumerate(truths, 1):
        screen.at_place(f"Session 1: {position} of 2")
        screen.press("3", "3")
        screen.tab.locator(f'html[data-revealed="{truth}"]').wait_for(state="attached")
        assert screen.tab.locator("#question").inner_text() == f"This image is {truth}."
        screen.tab.wait_for_timeout(350)
        screen.press("Enter")
    screen.through("instructions", "display", "start")
    screen.at_place("Session 2: 1 of 1")
    screen.press("1", "1")
    screen.at_page("end")
    assert told and not any("truth" in text for text in told)
    process.kill()


@needs_chromium
def test_outlined_education_circles_the_change_in_the_adversarial_image_and_the_difference(
    browser: Any, tmp_path: Path
) -> None:
    folder = reading_folder(tmp_path / "reading", counts=(1,), kinds=("triplet",), readers=1, practice=0, consent="")
    values = folder.load().to_json()
    values["sessions"][0]["places"][0]["outline"] = {"x": 20.0, "y": 48.0, "radius": 10.0}
    write_json(folder.plan_file, values)
    process = Process(folder)
    screen = Screen(browser.new_context(viewport={"width": 900, "height": 500}))
    screen.tab.goto(links_of(folder)["R1"])
    screen.through("instructions", "display", "start")
    screen.at_place("Session 1: 1 of 1")
    rings = [figure.locator(".ring:visible").count() for figure in screen.tab.locator("figure").all()]
    assert rings == [0, 1, 1]
    canvas, ring = (screen.tab.locator("figure").nth(1).locator(one).bounding_box() for one in ("canvas", ".ring"))
    scale = min(canvas["width"] / 64, canvas["height"] / 96)
    left = canvas["x"] + (canvas["width"] - 64 * scale) / 2
    assert ring["x"] + ring["width"] / 2 == pytest.approx(left + 20 * scale, abs=2)
    assert ring["width"] == pytest.approx(20 * scale, abs=2)
    process.kill()
