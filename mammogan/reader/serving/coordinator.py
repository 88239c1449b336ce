"""The coordinator's page: progress of all readers, links to revoke or replace. It shows no answers and no truth."""

from __future__ import annotations

from datetime import datetime
from importlib import resources
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from mammogan.reader.plan import ReadingPlan
from mammogan.reader.serving.headers import body_of, same_origin
from mammogan.reader.serving.links import Links
from mammogan.reader.serving.progress import progress
from mammogan.reader.serving.store import Store
from mammogan.reader.serving.words import NO_ACCESS, banner

COOKIE, COOKIE_SECONDS = "coordinator", 180 * 86_400


class Coordinator:
    """What the coordinator's browser asks for."""

    def __init__(self, plan: ReadingPlan, store: Store, links: Links) -> None:
        self._plan, self._store, self._links = plan, store, links
        text = (resources.files("mammogan.reader.serving") / "page" / "coordinator.html.jinja").read_text(
            encoding="utf-8"
        )
        self._template = Environment(autoescape=True).from_string(text)

    def routes(self) -> list[Route]:
        """Return the routes of this page."""
        return [
            Route("/coordinator", self.page),
            Route("/coordinator/enter/{token}", self.enter),
            Route("/coordinator/revoke", self.revoke, methods=["POST"]),
            Route("/coordinator/renew", self.renew, methods=["POST"]),
        ]

    async def enter(self, request: Request) -> Response:
        token = request.path_params["token"]
        if not self._links.is_coordinator(token):
            return Response(NO_ACCESS, 403, media_type="text/plain")
        # A browser does not send a strict cookie after a redirect from a link in a mail: a page leads on.
        response = HTMLResponse('<!doctype html><meta http-equiv="refresh" content="0;url=/coordinator">')
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, token, COOKIE_SECONDS, path="/coordinator", httponly=True, samesite="strict", secure=secure
        )
        return response

    async def page(self, request: Request) -> Response:
        self._admit(request)
        return HTMLResponse(await run_in_threadpool(self._html))

    async def revoke(self, request: Request) -> Response:
        name = await self._named_reader(request)
        await run_in_threadpool(self._links.revoke, name)
        return RedirectResponse("/coordinator", 303)

    async def renew(self, request: Request) -> Response:
        name = await self._named_reader(request)
        link = await run_in_threadpool(self._links.renew, name)
        return HTMLResponse(await run_in_threadpool(self._html, name, link))

    def _admit(self, request: Request) -> None:
        if not self._links.is_coordinator(request.cookies.get(COOKIE, "")):
            raise HTTPException(403, "this page is for the coordinator, whose link is in links.csv")

    async def _named_reader(self, request: Request) -> str:
        self._admit(request)
        if not same_origin(request):
            raise HTTPException(403, "requests from other sites are refused")
        names = parse_qs((await body_of(request)).decode("utf-8", "replace")).get("reader", [""])
        if names[0] not in self._plan.readers:
            raise HTTPException(404, "no such reader")
        return names[0]

    def _html(self, renewed: str = "", link: str = "") -> str:
        values: dict[str, Any] = {"plan": self._plan, "banner": banner(self._plan), "readers": progress(self._store)}
        return self._template.render(**values, renewed=renewed, link=link, clock=_clock)


def _clock(ms: int | None) -> str:
    """Return a time as the coordinator's machine shows it."""
    return datetime.fromtimestamp(ms / 1000).strftime("%d %b %H:%M") if ms else ""
