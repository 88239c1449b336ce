"""Has simulated readers read a drawn study through its server, as browsers do: server, store and key are exercised.

The server neither knows nor tells what is shown. The observers know it from the private key, as far as their ability
goes.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.own_python import python_running
from mammogan.io.terminal import say, track
from mammogan.reader.drawing.cues import darkest_corner
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import KeyImage, ReadingKey
from mammogan.reader.observers import Observer
from mammogan.reader.plan import Place, ReadingPlan, Session
from mammogan.reader.serving.links import LINKS
from mammogan.reader.statistics.answers import Said

STARTS_WITHIN = 600.0
"""Seconds that the server may take to listen: before, it reads every image."""
VISIBLE_GREY = 1 / 255
"""Grey of a corner, at the default window, from which on a screen shows it."""


def simulate(folder: Path, key_file: Path, observers: Mapping[str, Observer], seed: int = 0) -> None:
    """Let each observer read everything that its reader has not read yet. Raise UserError for a study of people."""
    plan = ReadingFolder(folder).load()
    key = ReadingKey.load_of(plan, key_file)
    if not plan.simulated:
        raise UserError(
            f"{folder} was drawn for people: no simulated reader may answer it. Draw a study of its own with\n"
            "  mammogan draw-reading --simulated --name rehearsal"
        )
    if unknown := sorted(set(observers) ^ set(plan.readers)):
        raise UserError(
            f"readers {', '.join(unknown)}: expected an observer for each of {', '.join(plan.readers)} and no others"
        )
    with served(folder) as port:
        for reader, observer in observers.items():
            browser = Browser(port, link_of(folder, reader))
            simulated = SimulatedReader(reader, observer, plan, key, browser, seed)
            given = sum(1 for _ in track(simulated.read_all(), simulated.left(), f"{reader}: images read"))
            say(f"{reader} has given {given} answers")


def link_of(folder: Path, reader: str) -> str:
    """Return the path of a reader's private link."""
    links = {row["reader"]: row["link"] for row in tables.read_own_csv(folder / LINKS)}
    return "/enter/" + links[reader].rpartition("/")[2]


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve a folder in a process of its own, on a free port, which is given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*python_running("mammogan.reader"), str(folder), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=STARTS_WITHIN)


def _wait_for(port: int, server: subprocess.Popen[str]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            words = server.stderr.read() if server.stderr else ""
            raise UserError(f"the server of the reading folder ended: {words.strip()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise UserError(f"the server of the reading folder did not listen within {STARTS_WITHIN:g} s")


class Browser:
    """One reader's connection, with the cookie of its link."""

    def __init__(self, port: int, link: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
        self._connection.request("GET", link)
        response = self._connection.getresponse()
        response.read()
        cookie = response.getheader("Set-Cookie")
        if response.status != http.HTTPStatus.SEE_OTHER or not cookie:
            raise UserError(f"the server refused a reader's link ({response.status})")
        self._headers["Cookie"] = cookie.partition(";")[0]

    def get(self, path: str) -> bytes:
        """Return what the server has at a path."""
        return self._request("GET", path, None)

    def state(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path."""
        return dict(json.loads(self.get(path)))

    def post(self, path: str, values: dict[str, Any]) -> None:
        """Send a JSON object."""
        self._request("POST", path, json.dumps(values))

    def _request(self, method: str, path: str, body: str | None) -> bytes:
        try:
            status, content = self._exchange(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionError):  # idle for long: the server has hung up
            self._connection.close()
            status, content = self._exchange(method, path, body)
        if status != http.HTTPStatus.OK:
            words = content[:200].decode(errors="replace")
            raise UserError(f"{method} {path}: the server answers {status} {words}")
        return content

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        return response.status, response.read()


@dataclass(frozen=True)
class SimulatedReader:
    """An observer in front of one reader's page."""

    name: str
    observer: Observer
    plan: ReadingPlan
    key: ReadingKey
    browser: Browser
    seed: int

    def left(self) -> int:
        """Return how many places the reader has not answered yet."""
        return sum(session["total"] - session["done"] for session in self.browser.state("/me")["sessions"])

    def read_all(self) -> Iterator[Place]:
        """Read all sessions from where the reader is, and yield each place when it is answered."""
        truth = {image.image: image for image in self.key.images}
        while (me := self.browser.state("/me"))["step"] != "end":
            session = self.plan.session(me["session"]["number"])
            if me["step"] == "consent":
                self._event(session, "consent")
            elif me["step"] == "begin":
                self._event(session, "begin")
            else:
                for position in range(me["session"]["done"], len(session.places)):
                    yield self._read(session, position, truth)

    def _event(self, session: Session, kind: str) -> None:
        self.browser.post(f"/session/{session.number}/event", {"kind": kind, "position": None, "details": {}})

    def _read(self, session: Session, position: int, truth: Mapping[str, KeyImage]) -> Place:
        place = self.plan.order_of(self.name, session.number)[position]
        where = f"/session/{session.number}"
        pixels = [self.browser.get(f"{where}/image/{position}/{panel}") for panel in range(len(place.images))]
        draws = self._draws(place, self.name)
        spent = round(1000 * self.observer.pace(draws))
        answer: dict[str, Any] = {
            "position": position,
            "request": os.urandom(16).hex(),
            "client": {"ms": spent, "away_ms": 0},
        }
        if session.asks:
            image = truth[place.images[0]]
            said = self._says(session, place, image, pixels[0], draws)
            answer |= {"answer": said, "cancer": self._cancer(image)}
        self.browser.post(f"{where}/answer", answer)
        return place

    def _says(self, session: Session, place: Place, image: KeyImage, pixels: bytes, draws: np.random.Generator) -> Said:
        if self.observer.looks_at_border:
            return "not real" if corner_grey(pixels, self.plan) > VISIBLE_GREY else "real"
        case = float(self._draws(place, "case").standard_normal())
        return self.observer.says(session.number, image.role == "fake", case, draws)

    def _cancer(self, image: KeyImage) -> str | None:
        """Answer the second question, where it is asked, by how the image looks."""
        words = {"off": (None, None), "yes-no": ("no", "yes"), "1-5": ("2", "4")}
        return words[self.plan.questions.cancer][image.looks == "positive"]

    def _draws(self, place: Place, whose: str) -> np.random.Generator:
        """Return random numbers that depend on the seed, the image and whose they are, and on nothing else."""
        text = f"{self.seed} {place.images[0]} {whose}"
        return np.random.default_rng(list(hashlib.sha256(text.encode()).digest()))


def corner_grey(pixels: bytes, plan: ReadingPlan) -> float:
    """Return the grey of the darkest corner at the default window, in [0,1]: what can be seen beside the breast."""
    image = np.frombuffer(pixels, "<u2").reshape(plan.height, plan.width)
    grey = darkest_corner(image) - plan.window.low
    return float(np.clip(grey / (plan.window.high - plan.window.low), 0, 1))
