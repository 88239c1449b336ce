"""Reads what the page sends: answers and events, checked field by field before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mammogan.reader.plan import ANSWERS, ReadingPlan, Session
from mammogan.reader.serving.store import RENDERERS, Answer

SEEN = "seen"
"""Stored as the answer of a place where nothing is asked."""
CLOCK_EVENTS = ("pause", "resume", "heartbeat")
"""Events that report the reader's clock at one place."""
EVENTS = ("consent", "display", "begin", *CLOCK_EVENTS)
MOST_DETAILS = 2000
"""Largest JSON of an event's details, and of an answer's client, in characters."""
LONGEST_MS = 1e9
CANCER = {"off": (None,), "yes-no": ("yes", "no"), "1-5": ("1", "2", "3", "4", "5")}


class Malformed(ValueError):
    """Reports a request that the page never sends."""


def values_of(body: bytes) -> dict[str, Any]:
    """Read a JSON object; raise Malformed for anything else, and for text that no database or page can show."""
    try:
        values = json.loads(body)
        storable = all(_storable(text) for text in _texts(values))
    except (ValueError, RecursionError) as error:
        raise Malformed("expected JSON") from error
    if not isinstance(values, dict):
        raise Malformed("expected a JSON object")
    if not storable:
        raise Malformed("text: expected Unicode without NUL and without halves of surrogate pairs")
    return values


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _storable(text: str) -> bool:
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


def answer_of(values: dict[str, Any], plan: ReadingPlan, session: Session) -> Answer:
    """Check the values of an answer against what this session asks."""
    position, word, cancer, click = (values.get(name) for name in ("position", "answer", "cancer", "click"))
    if session.asks:
        if word not in ANSWERS:
            raise Malformed(f"answer: expected one of {', '.join(ANSWERS)}")
        if cancer not in CANCER[plan.questions.cancer]:
            raise Malformed("cancer: not an answer to that question")
    elif (word, cancer) != (None, None):
        raise Malformed("nothing is asked in this session")
    return Answer(
        position=_position(position),
        answer=word if isinstance(word, str) else SEEN,
        request=_request(values.get("request")),
        client=_client(values.get("client")),
        cancer=cancer,
        click=_click(click, plan) if session.asks and plan.questions.click else None,
    )


def event_of(values: dict[str, Any]) -> tuple[str, int | None, dict[str, Any]]:
    """Check the values of an event; return kind, position or None, and details."""
    kind, position, details = (values.get(name) for name in ("kind", "position", "details"))
    if kind not in EVENTS:
        raise Malformed(f"kind: expected one of {', '.join(EVENTS)}")
    if kind in CLOCK_EVENTS:
        return kind, _position(position), _client(details)
    if not isinstance(details, dict) or len(_json(details)) > MOST_DETAILS:
        raise Malformed("details: expected a small JSON object")
    if kind == "display" and details.get("renderer", RENDERERS[0]) not in RENDERERS:
        raise Malformed(f"renderer: expected one of {', '.join(RENDERERS)}")
    return kind, None, details


def _position(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**6:
        raise Malformed("position: expected a whole number")
    return value


def _request(value: Any) -> bytes:
    try:
        request = bytes.fromhex(value)
    except (TypeError, ValueError) as error:
        raise Malformed("request: expected hexadecimal digits") from error
    if len(request) != 16:
        raise Malformed("request: expected 32 hexadecimal digits")
    return request


def _client(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"ms", "away_ms"} <= value.keys() or len(_json(value)) > MOST_DETAILS:
        raise Malformed("expected the reader's clock, ms and away_ms")
    if not all(_number(number, LONGEST_MS) for number in value.values()):
        raise Malformed("the reader's clock and tools are numbers from 0")
    return value


def _click(value: Any, plan: ReadingPlan) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed("click: expected [x, y]")
    x, y = value
    if not _number(x, plan.width) or not _number(y, plan.height):
        raise Malformed("click: not in the image")
    return float(x), float(y)


def _number(value: Any, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most


def _json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise Malformed("numbers must be finite") from error
