"""A reader plays all five sessions in Firefox too; the greys on its screen are the image's."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import numpy as np
import pytest
from reading_clients import links_of
from reading_folders import HEIGHT, WIDTH
from reading_servers import Process, rows

from reader.browsers import ASKED, WORDS, play_all_sessions, to_the_first_question
from reader.firefox import Firefox, firefox, needs_firefox, until

pytestmark = needs_firefox
GREYS = """const canvas = document.querySelector('#images canvas');
  const rgba = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let greys = '';
  for (let k = 0; k < rgba.length; k += 4) greys += String.fromCharCode(rgba[k]);
  return [canvas.height, canvas.width, btoa(greys)]"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with firefox(tmp_path_factory.mktemp("firefox")) as made:
        yield made


@pytest.fixture
def reader(running: Firefox, process: Process) -> Firefox:
    running.goto(links_of(process.folder)["R1"])
    return running


def test_one_reader_plays_all_five_sessions_by_keyboard(reader: Firefox, process: Process) -> None:
    assert reader.url() == f"{process.address}/", "the token is out of the address"
    play_all_sessions(reader)
    assert reader.script("return document.querySelector('h1').textContent") == "The study is finished"
    stored = rows(process, "select session, position, answer from answer where reader = 1 order by 1, 2")
    expected = [(session, position, "seen") for session in (1, 4) for position in range(2)]
    expected += [(one, position, WORDS[key]) for one, keys in ASKED.items() for position, key in enumerate(keys)]
    assert stored == sorted(expected)
    ((details,),) = rows(process, "select details from event where kind = 'display' limit 1")
    assert "Firefox" in json.loads(details)["browser"]
    assert reader.errors(process.address) == []


def shows(reader: Firefox, expected: np.ndarray) -> bool:
    """Whether the canvas has these greys, wherever the image is on it."""
    height, width, text = reader.script(GREYS)
    greys = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width)
    lit = [np.ix_(image.any(axis=1), image.any(axis=0)) for image in (greys, expected)]
    return np.array_equal(greys[lit[0]], expected[lit[1]])


def test_the_screen_shows_the_greys_of_the_image_and_a_reload_the_same_place(reader: Firefox, process: Process) -> None:
    to_the_first_question(reader)
    reader.press("o")
    ((name,),) = rows(process, "select images from place where (reader, session, position) = (1, 2, 0)")
    pixels = np.frombuffer(process.folder.image(name).read_bytes(), "<u2").reshape(HEIGHT, WIDTH)
    expected = np.floor(255 * np.clip(pixels / process.folder.load().window.high, 0, 1) + 0.5)
    until(lambda: shows(reader, expected), "one image pixel is one pixel of the screen")
    reader.press("2")
    reader.goto(process.address)
    reader.through("resume")
    reader.at_place("Session 2: 1 of 2")
    assert rows(process, "select count(*) from answer where session = 2") == [(0,)], "chosen is not confirmed"
