"""Serves a reading folder to readers: forward only, one image at a time, without knowing the truth.

    GET  /                                 the page
    GET  /static/<name>                    its script and style
    GET  /enter/<token>                    a reader's link: sets a cookie and leads to /
    GET  /me                               which step is next, and its texts
    GET  /practice/<n>                     pixels of a practice image
    GET  /session/<s>/state                how far the reader is in this session
    GET  /session/<s>/image/<n>/<panel>    pixels of the next image, and of no other
    POST /session/<s>/answer               stores an answer before it responds
    POST /session/<s>/event                consent, display check, begin, breaks, heartbeat
    GET  /coordinator                      progress; /coordinator/enter/<token> is the coordinator's link

Requests of the page name their reader in X-Reader: a browser has one cookie, even if it has opened two readers' links.

400: not a request of our page. 403: no valid link, or a request of another site. 409: the reader is elsewhere, the page
asks /me; with ``other_reader``, the cookie is another reader's. 429: no more events are kept of this reader. 503, 507:
not stored, the page keeps the answer and tries again. 500: an image is missing or not the one that was drawn, as its
sha256 says whenever it is shown; nothing is recorded of it, and the page tries again. Pixels are raw uint16 of constant
length and never compressed, since the size of a compressed image tells what it is.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mammogan.reader.folder import ChangedImage, ReadingFolder
from mammogan.reader.plan import Place, ReadingPlan, Session
from mammogan.reader.serving.coordinator import Coordinator
from mammogan.reader.serving.headers import Guard, TooLarge, body_of, refusal, same_origin
from mammogan.reader.serving.links import Links, hashed
from mammogan.reader.serving.page_messages import Malformed, answer_of, event_of, values_of
from mammogan.reader.serving.store import Refused, Status, Store, TooMany
from mammogan.reader.serving.words import BROKEN, NO_ACCESS, OTHER_READER, banner, instructions, of_database, of_image

COOKIE, COOKIE_SECONDS = "reader", 180 * 86_400
SENDER = "x-reader"
"""Header in which the page says whose it is, percent-encoded; programs may leave it out."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
log = logging.getLogger(__name__)


class Number(Convertor[int]):
    """A whole number in an address; what is longer is no number of a session, place or panel."""

    regex = "[0-9]{1,6}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", Number())


def application(
    folder: ReadingFolder, plan: ReadingPlan, store: Store, links: Links, names: frozenset[str]
) -> Starlette:
    """Return the web application. ``names``: host names that it answers for, besides IP addresses."""
    reading, coordinator = Reading(folder, plan, store), Coordinator(plan, store, links)
    routes = [
        Route("/", reading.page),
        Route("/static/{name}", reading.static),
        Route("/enter/{token}", reading.enter),
        Route("/me", reading.me),
        Route("/practice/{position:number}", reading.practice_image),
        Route("/session/{session:number}/state", reading.state),
        Route("/session/{session:number}/image/{position:number}/{panel:number}", reading.image),
        Route("/session/{session:number}/answer", reading.answer, methods=["POST"]),
        Route("/session/{session:number}/event", reading.event, methods=["POST"]),
        *coordinator.routes(),
    ]
    handlers: dict[Any, Any] = {
        Refused: _refused, OtherReader: _other_reader, Malformed: _malformed, TooLarge: _too_large, TooMany: _too_many,
        sqlite3.Error: _database_failed, OSError: _disk_failed, ChangedImage: _disk_failed, HTTPException: _http,
    }  # fmt: skip
    return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Guard, hosts=names)])


class OtherReader(Exception):
    """Reports a request of a page that belongs to another reader than the browser's cookie."""


class Reading:
    """What a reader's browser asks for."""

    def __init__(self, folder: ReadingFolder, plan: ReadingPlan, store: Store) -> None:
        self._folder, self._plan, self._store = folder, plan, store
        page = resources.files("mammogan.reader.serving") / "page"
        self._files = {file.name: file.read_bytes() for file in page.iterdir() if file.name.endswith(tuple(TYPES))}
        self._images = {image.name: image for image in plan.images}
        self._sessions = {session.number: session for session in plan.sessions}

    async def page(self, request: Request) -> Response:
        return self._file("read.html")

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files or name.endswith(".html"):
            raise HTTPException(404)
        return self._file(name)

    async def enter(self, request: Request) -> Response:
        """Turn a link into a cookie; the token is out of the address bar at once."""
        token = request.path_params["token"]
        if not await run_in_threadpool(self._store.reader, hashed(token)):
            return Response(NO_ACCESS, 403, media_type="text/plain")
        response = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, COOKIE_SECONDS, httponly=True, samesite="strict", secure=secure)
        return response

    async def me(self, request: Request) -> Response:
        reader, name = await self._reader(request)
        return JSONResponse(await run_in_threadpool(self._me, reader, name))

    async def practice_image(self, request: Request) -> Response:
        await self._reader(request)
        position = request.path_params["position"]
        if position >= len(self._plan.practice):
            raise HTTPException(404)
        (pixels,) = await run_in_threadpool(self._pixels, [self._plan.practice[position]])
        return Response(pixels, media_type="application/octet-stream")

    async def state(self, request: Request) -> Response:
        reader, name = await self._reader(request)
        return JSONResponse(await run_in_threadpool(self._state, reader, name, self._session(request)))

    async def image(self, request: Request) -> Response:
        reader, _ = await self._reader(request)
        position, panel = request.path_params["position"], request.path_params["panel"]
        if request.method == "HEAD":  # would count as shown, without pixels
            raise HTTPException(405)
        place = reader, self._session(request).number, position
        names = await run_in_threadpool(self._store.next_images, *place)
        if panel >= len(names):
            raise HTTPException(404)
        pixels = await run_in_threadpool(self._pixels, names)  # of all panels, since one may not be shown alone
        await run_in_threadpool(self._store.show, *place)
        return Response(pixels[panel], media_type="application/octet-stream")

    async def answer(self, request: Request) -> Response:
        reader, name, values = await self._posted(request)
        session = self._session(request)
        given = answer_of(values, self._plan, session)
        await run_in_threadpool(self._store.answer, reader, session.number, given)
        state = await run_in_threadpool(self._state, reader, name, session)
        return JSONResponse(state | self._feedback(name, session, given.position))

    async def event(self, request: Request) -> Response:
        reader, _, values = await self._posted(request)
        session, (kind, position, details) = self._session(request), event_of(values)
        if kind == "begin" and await run_in_threadpool(self._to_consent, reader):
            raise Refused("the consent comes first")
        await run_in_threadpool(self._store.event, reader, session.number, position, kind, details)
        return JSONResponse({})

    def _file(self, name: str) -> Response:
        kind = TYPES[name[name.rindex(".") :]]
        return Response(self._files[name], media_type=kind)

    def _pixels(self, names: Sequence[str]) -> list[bytes]:
        """Read images. Raise ChangedImage if one of them is not as it was drawn."""
        return [self._folder.read_image(self._images[name]) for name in names]

    async def _reader(self, request: Request) -> tuple[int, str]:
        found = await run_in_threadpool(self._store.reader, hashed(request.cookies.get(COOKIE, "")))
        if not found:
            raise HTTPException(403, NO_ACCESS)
        if unquote(request.headers.get(SENDER, found[1])) != found[1]:
            raise OtherReader
        return found

    async def _posted(self, request: Request) -> tuple[int, str, dict[str, Any]]:
        reader, name = await self._reader(request)
        if not same_origin(request):
            raise HTTPException(403, "requests from other sites are refused")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Malformed("expected JSON")
        return reader, name, values_of(await body_of(request))

    def _session(self, request: Request) -> Session:
        session = self._sessions.get(request.path_params["session"])
        if session is None:
            raise HTTPException(404)
        return session

    def _to_consent(self, reader: int) -> bool:
        return bool(self._plan.consent) and not self._store.consented(reader)

    def _me(self, reader: int, name: str) -> dict[str, Any]:
        plan, statuses = self._plan, self._store.sessions(reader)
        now = next((status for status in statuses if not status.finished), None)
        values: dict[str, Any] = {
            "reader": name,
            "banner": banner(plan),
            "consent": plan.consent,
            "ending": plan.ending,
            "questions": {"cancer": plan.questions.cancer, "click": plan.questions.click},
            "image": {"height": plan.height, "width": plan.width},
            "windows": {"image": vars(plan.window), "difference": vars(plan.difference_window)},
            "sessions": [{"done": status.done, "total": status.total} for status in statuses],
        }
        if now is None:
            return values | {"step": "end"}
        step = "consent" if self._to_consent(reader) else "read" if now.begun else "begin"
        session = self._sessions[now.session]
        told = {field: getattr(session, field) for field in ("number", "kind", "title", "asks")}
        told["instructions"] = instructions(self._plan, session)
        practice = range(len(plan.practice)) if self._first_to_ask(session) else ()
        return values | {
            "step": step,
            "session": told | {"done": now.done, "total": now.total},
            "practice": [f"/practice/{position}" for position in practice],
        }

    def _first_to_ask(self, session: Session) -> bool:
        return session.asks and not any(one.asks and one.number < session.number for one in self._plan.sessions)

    def _state(self, reader: int, name: str, session: Session) -> dict[str, Any]:
        statuses = self._store.sessions(reader)
        if any(not one.finished for one in statuses if one.session < session.number):
            raise Refused("this session is not open")
        status: Status = next(one for one in statuses if one.session == session.number)
        state: dict[str, Any] = {"done": status.done, "total": status.total}
        if status.finished:
            return state
        place = self._place(name, session, status.done)
        outline = vars(place.outline) if place.outline and session.kind == "triplet" else None
        spent = self._store.spent(reader, session.number, status.done)
        return state | {"panels": len(place.images), "outline": outline, "spent": spent}

    def _feedback(self, name: str, session: Session, position: int) -> dict[str, Any]:
        """Return the truth of an image of a training block that has just been answered; nothing in other sessions."""
        if session.kind != "feedback":
            return {}
        place = self._place(name, session, position)
        return {"truth": place.truth, "truth_outline": vars(place.outline) if place.outline else None}

    def _place(self, name: str, session: Session, position: int) -> Place:
        return self._plan.order_of(name, session.number)[position]


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(str(error), 409)


async def _other_reader(request: Request, error: Exception) -> Response:
    return refusal(OTHER_READER, 409, other_reader=True)


async def _malformed(request: Request, error: Exception) -> Response:
    return refusal(str(error), 400)


async def _too_large(request: Request, error: Exception) -> Response:
    return refusal("the request is too large", 413)


async def _too_many(request: Request, error: Exception) -> Response:
    return refusal(str(error), 429)


async def _database_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, sqlite3.Error)
    words, code = of_database(error)
    log.error("not stored: %s", error)
    return refusal(words, code)


async def _disk_failed(request: Request, error: Exception) -> Response:
    log.error("not served: %s", error)
    return refusal(of_image(error), BROKEN)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.detail, error.status_code)
