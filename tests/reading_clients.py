"""A reader without a browser: the same requests that the page sends."""

from __future__ import annotations

import csv
import secrets
from typing import Any

import httpx2

from mammogan.reader.folder import ReadingFolder


def links_of(folder: ReadingFolder) -> dict[str, str]:
    """Links by reader, from links.csv."""
    with open(folder.path / "links.csv", encoding="utf-8", newline="") as file:
        return {row["reader"]: row["link"] for row in csv.DictReader(file)}


def request_id() -> str:
    return secrets.token_hex(16)


class Client:
    """One reader's browser."""

    def __init__(self, http: httpx2.Client, link: str) -> None:
        self.http = http
        http.headers["origin"] = str(http.base_url).rstrip("/")
        token = link.rpartition("/")[2]
        response = http.get(f"/enter/{token}")
        assert (response.status_code, response.headers["location"]) == (303, "/"), response.text

    def me(self) -> dict[str, Any]:
        return dict(self.http.get("/me").json())

    def state(self, session: int) -> dict[str, Any]:
        return dict(self.http.get(f"/session/{session}/state").json())

    def image(self, session: int, position: int, panel: int = 0) -> httpx2.Response:
        return self.http.get(f"/session/{session}/image/{position}/{panel}")

    def event(self, session: int, kind: str, position: int | None = None, **details: Any) -> int:
        values = {"kind": kind, "position": position, "details": details}
        return self.http.post(f"/session/{session}/event", json=values).status_code

    def answer(self, session: int, at: int, word: str | None = "real", **values: Any) -> httpx2.Response:
        given = {"position": at, "answer": word, "request": request_id(), "client": {"ms": 900, "away_ms": 0}}
        return self.http.post(f"/session/{session}/answer", json=given | values)

    def begin(self, session: int = 1) -> None:
        """As far as the first image of a session; all earlier ones are finished."""
        assert self.event(session, "consent") == 200
        assert self.event(session, "begin") == 200

    def finish(self, session: int, words: list[str] | None = None) -> None:
        """Read a session to its end."""
        self.begin(session)
        total = self.state(session)["total"]
        asks = self.me()["session"]["asks"]
        for position in range(total):
            assert self.image(session, position).status_code == 200
            word = (words[position] if words else "unsure") if asks else None
            assert self.answer(session, position, word).status_code == 200
